import { z } from 'zod';
import { DomainFailure, isRetryable } from '../domain/failures.ts';
import { decisionActions } from '../domain/steps.ts';
import { bestEffort } from './best-effort.ts';
import type { ApiDeps } from './deps.ts';
import { readIfMatch, type VersionCondition } from './etag.ts';
import { changedAnswer, noSuchOrder, orderPath, requireKnown } from './orders.ts';
import { type RequestContext, type Route, route } from './route.ts';
import { address, named, order, paymentToken, text } from './schemas.ts';

const cancellation = z.strictObject({ reason: text(500).nullable().optional() });
named.add(cancellation, { id: 'Cancellation' });

const decision = z
  .strictObject({
    attentionId: text(200).describe('`attention.id` of the order as you saw it'),
    action: z.enum(decisionActions).describe('One of `attention.allowed`'),
    reason: text(500),
    actor: text(200).describe('Who decides'),
    correction: z
      .strictObject({ paymentToken: paymentToken.optional(), shippingAddress: address.optional() })
      .refine(
        (value) => value.paymentToken !== undefined || value.shippingAddress !== undefined,
        'must hold a paymentToken or a shippingAddress',
      )
      .optional()
      .describe('For retry_corrected, and for nothing else'),
  })
  .refine((value) => value.action !== 'retry_corrected' || value.correction !== undefined, {
    path: ['correction'],
    message: 'is missing: retry_corrected needs the corrected paymentToken or shippingAddress',
  })
  .refine((value) => value.action === 'retry_corrected' || value.correction === undefined, {
    path: ['correction'],
    message: 'goes with the action retry_corrected only; leave it out',
  });
named.add(decision, { id: 'Decision' });

const decisionTaken = z.object({
  decisionId: z.string(),
  orderId: z.uuid(),
  attentionId: z.string(),
  action: z.enum(decisionActions),
});
named.add(decisionTaken, { id: 'DecisionTaken' });

const headers = z.object({
  'if-match': z.string().optional().describe('ETag of the order as you saw it: refuse if it has changed since'),
});

/** What people ask of an order: committed first, told to the workflow second. */
export function orderChangeRoutes(deps: ApiDeps): readonly Route[] {
  return [
    route({
      method: 'post',
      path: '/v1/orders/{id}/cancel',
      operationId: 'cancelOrder',
      access: 'orders:cancel',
      audited: true,
      keepsReason: true,
      tag: 'Orders',
      summary: 'Cancel an order',
      description:
        'Kept once this answers; what the order took is given back. Allowed until the first dispatch. If the carrier turns out to have dispatched already, the cancellation is withdrawn and the timeline says so. Asking again changes nothing.',
      params: orderPath,
      headers,
      body: cancellation,
      bodyOptional: true,
      answers: {
        202: {
          description: 'The cancellation is kept',
          schema: order,
          headers: { Location: 'Path of the order', ETag: 'The version of the order' },
        },
      },
      problems: ['not_cancellable', 'version_mismatch', 'store_unavailable'],
      permit: ({ id }, { identity }) => requireKnown(deps, id, identity),
      async handle({ params: { id }, headers: { 'if-match': ifMatch }, body }, context) {
        const condition = readIfMatch(ifMatch);
        if (condition === 'never') await requireVersion(deps, id, condition);
        const expectedVersion = typeof condition === 'number' ? condition : undefined;
        const cancelled = await deps.requests.cancel(id, { reason: body.reason ?? null, expectedVersion });
        await bestEffort(context.log, { orderId: id }, 'cancellation not delivered; the sweeper will deliver it', () =>
          deps.workflows.cancel(id),
        );
        return changedAnswer(cancelled);
      },
    }),
    route({
      method: 'post',
      path: '/v1/orders/{id}/decisions',
      operationId: 'decideOrder',
      access: 'orders:decide',
      audited: true,
      keepsReason: true,
      tag: 'Orders',
      summary: 'Decide how an order that waits for a person goes on',
      params: orderPath,
      headers,
      body: decision,
      answers: { 202: { description: 'The order goes on as decided', schema: decisionTaken } },
      problems: [
        'attention_stale',
        'decision_not_allowed',
        'version_mismatch',
        'store_unavailable',
        'workflow_unavailable',
      ],
      async handle({ params: { id }, headers: { 'if-match': ifMatch }, body }, context) {
        const condition = readIfMatch(ifMatch);
        if (condition !== 'any') await requireVersion(deps, id, condition);
        const { attentionId, action } = body;
        const { decisionId, step } = await deps.requests.recordDecision(id, { ...body, auditId: context.auditId });
        context.note({ decisionId });
        try {
          await (step === 'workflow'
            ? deps.workflows.restart(id, decisionId)
            : deps.workflows.decide(id, { attentionId, decisionId, action, auditId: context.auditId }));
        } catch (error) {
          const code = error instanceof DomainFailure ? error.code : undefined;
          // Without an answer it may have been accepted: then the order says so, by closing its attention with it.
          const unknown = code !== undefined && isRetryable(code);
          if (!unknown) await settle(deps, context, decisionId, 'refused', code ?? 'failed');
          throw error;
        }
        await settle(deps, context, decisionId, 'accepted', null);
        return { status: 202, json: { decisionId, orderId: id, attentionId, action } };
      },
    }),
  ];
}

async function requireVersion(deps: ApiDeps, id: string, condition: VersionCondition): Promise<void> {
  const found = await deps.views.find(id);
  if (found === undefined) throw noSuchOrder(id);
  if (found.version === condition) return;
  throw new DomainFailure('version_mismatch', `the order is at version ${found.version} now; look at it again`);
}

/** What the workflow said stands, even if it cannot be written down now. */
async function settle(
  deps: ApiDeps,
  context: RequestContext,
  decisionId: string,
  result: 'accepted' | 'refused',
  detail: string | null,
): Promise<void> {
  await bestEffort(context.log, { decisionId, result }, 'the outcome of a decision was not recorded', () =>
    deps.requests.settleDecision(decisionId, result, detail),
  );
}
