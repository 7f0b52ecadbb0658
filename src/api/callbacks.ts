import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import { bestEffort } from './best-effort.ts';
import type { ApiDeps } from './deps.ts';
import { ApiProblem } from './problems.ts';
import { type Route, route } from './route.ts';
import { named, orderId, word } from './schemas.ts';
import { verifySignature } from './webhook-signature.ts';

/** Not strict: other people's messages grow. */
const carrierCallback = z.object({
  messageId: word(200),
  shipmentId: word(200),
  orderId,
  fulfillmentId: word(200),
  kind: z.enum(['dispatched', 'delivered']),
  at: z.iso
    .datetime({ offset: true })
    .refine((at) => Date.parse(at) >= 0, 'must be after 1970')
    .transform((at) => new Date(at).toISOString())
    .refine((at) => /^\d{4}-/.test(at), 'must be before the year 10000 of UTC')
    .describe('When it happened, by the carrier'),
});
named.add(carrierCallback, { id: 'CarrierCallback' });

const callbackKept = z.object({ messageId: z.string(), duplicate: z.boolean() });
named.add(callbackKept, { id: 'CallbackKept' });

const headers = z.object({
  'webhook-id': z.string().optional().describe('The message; the same in every attempt'),
  'webhook-timestamp': z.string().optional().describe('When this attempt was signed, in seconds since 1970'),
  'webhook-signature': z.string().optional().describe('`v1,<base64>` of HMAC-SHA256 over `id.timestamp.body`'),
});

/** What the carrier tells: kept once, then handed to the order's workflow until it has accepted it. */
export function callbackRoutes(deps: ApiDeps): readonly Route[] {
  return [
    route({
      method: 'post',
      path: '/v1/callbacks/carrier',
      operationId: 'carrierCallback',
      access: 'signed',
      tag: 'Callbacks',
      summary: 'The carrier tells that a shipment was dispatched or delivered',
      description: 'Signed by the scheme of Standard Webhooks.',
      headers,
      body: carrierCallback,
      answers: {
        202: { description: 'Kept', schema: callbackKept },
        200: { description: 'Was kept before', schema: callbackKept },
      },
      problems: ['signature_invalid', 'callbacks_not_configured', 'not_found', 'store_unavailable'],
      authenticate(raw) {
        verifySignature(
          {
            id: one(raw.headers, 'webhook-id'),
            timestamp: one(raw.headers, 'webhook-timestamp'),
            signature: one(raw.headers, 'webhook-signature'),
            body: raw.body,
          },
          secretOf(deps),
          new Date(),
        );
      },
      async handle({ headers: { 'webhook-id': webhookId }, body }, context) {
        const { messageId, orderId: id, fulfillmentId, shipmentId, kind, at } = body;
        context.note({ orderId: id, messageId });
        if (messageId !== webhookId) {
          const detail = `must be the webhook-id, ${webhookId}; got ${messageId}`;
          throw new ApiProblem('invalid_input', `/messageId ${detail}`, {
            errors: [{ pointer: '/messageId', detail }],
          });
        }
        const message = { messageId, orderId: id, fulfillmentId, shipmentId, kind, at };
        const kept = await deps.inbox.keep(message);
        if (kept === 'duplicate') return { status: 200, json: { messageId, duplicate: true } };
        if (kept === 'other_shipment') {
          context.log.warn(
            { orderId: id, messageId, fulfillmentId, shipmentId, kind },
            "callback about a shipment that is not the fulfillment's present one: kept, and not counted as its news",
          );
        } else {
          await bestEffort(
            context.log,
            { orderId: id, messageId },
            'callback not delivered; the sweeper will do it',
            () => deps.workflows.deliver(message),
          );
        }
        return { status: 202, json: { messageId, duplicate: false } };
      },
    }),
  ];
}

function secretOf({ carrierSecret }: ApiDeps): string {
  if (carrierSecret !== undefined) return carrierSecret;
  throw new ApiProblem(
    'callbacks_not_configured',
    'the operator must set CARRIER_CALLBACK_SECRET to the secret that the carrier signs with',
  );
}

function one(headersOfRequest: IncomingHttpHeaders, name: string): string | undefined {
  const value = headersOfRequest[name];
  return typeof value === 'string' ? value : undefined;
}
