import { z } from 'zod';
import { type Identity, mayKnow } from '../domain/access.ts';
import { DomainFailure } from '../domain/failures.ts';
import type { IntakeResult, OrderView } from '../domain/order-ports.ts';
import { orderStatuses } from '../domain/order.ts';
import { currentTraceparent } from '../telemetry/trace-context.ts';
import { bestEffort } from './best-effort.ts';
import type { ApiDeps } from './deps.ts';
import { etagOf, noneMatch } from './etag.ts';
import { idempotencyKey, idempotencyOf } from './idempotency.ts';
import { newOrder } from './order-body.ts';
import { type Answer, type RequestContext, type Route, route } from './route.ts';
import { named, order, orderId, orderSummary, page, word } from './schemas.ts';

const orderList = z.object({ data: z.array(orderSummary), nextCursor: z.string().nullable() });
named.add(orderList, { id: 'OrderList' });

const maxWaitMs = 30_000;

const locationHeader = { Location: 'Path of the order' };

export const orderPath = z.strictObject({ id: orderId });

/** Submitting orders and looking at them. */
export function orderRoutes(deps: ApiDeps): readonly Route[] {
  return [
    route({
      method: 'post',
      path: '/v1/orders',
      operationId: 'submitOrder',
      access: 'orders:submit',
      tag: 'Orders',
      summary: 'Submit an order',
      description:
        'The order is kept once this answers, whatever fails afterwards. The same key with the same body never makes a second order: within 72 h it gets the first answer again, later the order as it is then.',
      headers: z.object({ 'idempotency-key': idempotencyKey('order, such as its number with you') }),
      body: newOrder,
      answers: {
        202: {
          description: 'Accepted, now or before',
          schema: order,
          headers: { ...locationHeader, 'Idempotent-Replayed': '`true` if the order was accepted before' },
        },
      },
      problems: ['idempotency_key_missing', 'idempotency_key_reused', 'idempotency_in_progress', 'store_unavailable'],
      async handle({ headers, body }, context) {
        if (!mayKnow(context.identity, body)) throw notYourself(context.identity);
        const idempotency = idempotencyOf(headers['idempotency-key'], body, context.identity);
        const result = await deps.intake.accept(body, idempotency, currentTraceparent());
        if (result.kind === 'created') await startWorkflow(deps, context, result.order);
        return acceptedAnswer(result, context);
      },
    }),
    route({
      method: 'get',
      path: '/v1/orders',
      operationId: 'listOrders',
      access: 'orders:read',
      tag: 'Orders',
      summary: 'List orders, newest first',
      query: z.strictObject({
        status: z.enum(orderStatuses).optional(),
        customerId: word(100).optional(),
        attention: z.enum(['true', 'false']).optional().describe('Only those that wait for a person, or only others'),
        ...page,
      }),
      answers: { 200: { description: 'One page', schema: orderList } },
      problems: ['invalid_input', 'store_unavailable'],
      async handle({ query: { attention, ...filter } }, { identity }) {
        const wanted = attention === undefined ? undefined : attention === 'true';
        const customerId = identity.customerId ?? filter.customerId;
        if (filter.customerId !== undefined && filter.customerId !== customerId) throw notYourself(identity);
        return { status: 200, json: await deps.views.list({ ...filter, customerId, attention: wanted }) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/orders/{id}',
      operationId: 'getOrder',
      access: 'orders:read',
      tag: 'Orders',
      summary: 'Look at an order, or wait for its confirmation',
      params: orderPath,
      query: z
        .strictObject({
          wait: z.enum(['confirmed']).optional().describe('Answer once it is confirmed or at its end'),
          timeoutMs: z.coerce
            .number()
            .int()
            .min(1)
            .max(maxWaitMs)
            .optional()
            .describe(`Wait no longer than this and answer with the order as it is; default ${maxWaitMs / 3}`),
        })
        .refine((query) => query.wait !== undefined || query.timeoutMs === undefined, {
          path: ['timeoutMs'],
          message: 'means nothing without wait=confirmed',
        }),
      headers: z.object({ 'if-none-match': z.string().optional() }),
      answers: {
        200: { description: 'The order', schema: order, headers: { ETag: 'The version of the order' } },
        304: { description: 'It is still the version that If-None-Match names', headers: { ETag: 'That version' } },
      },
      problems: ['store_unavailable'],
      async handle({ params, query, headers }, context) {
        // Others' are looked for and not waited for: not even how long it takes tells of them.
        if (query.wait) await requireKnown(deps, params.id, context.identity);
        const found = query.wait
          ? await waitFor(deps, params.id, query.timeoutMs ?? maxWaitMs / 3, context.signal)
          : await deps.views.find(params.id);
        if (found === undefined || !mayKnow(context.identity, found)) throw noSuchOrder(params.id);
        const etag = { etag: etagOf(found.version) };
        if (noneMatch(headers['if-none-match'], found.version)) return { status: 304, headers: etag };
        return { status: 200, headers: etag, json: found };
      },
    }),
  ];
}

/** Throws `not_found` for an order that is not there, or is another customer's. Asks only where there is a difference. */
export async function requireKnown(deps: Pick<ApiDeps, 'views'>, id: string, identity: Identity): Promise<void> {
  if (identity.customerId === undefined) return;
  const found = await deps.views.find(id);
  if (found === undefined || !mayKnow(identity, found)) throw noSuchOrder(id);
}

function notYourself({ customerId }: Identity): DomainFailure {
  return new DomainFailure('forbidden', `this token is for the orders of customer '${customerId}' only`);
}

export function noSuchOrder(id: string): DomainFailure {
  return new DomainFailure('not_found', `there is no order ${id}`);
}

/** The answer of every change to an order. */
export function changedAnswer(changed: OrderView): Answer<202> {
  return { status: 202, headers: { location: pathOf(changed.id), etag: etagOf(changed.version) }, json: changed };
}

function pathOf(id: string): string {
  return `/v1/orders/${id}`;
}

function acceptedAnswer(result: IntakeResult, context: RequestContext): Answer<202> {
  const id = result.kind === 'replayed' ? result.orderId : result.order.id;
  const replayed = result.kind !== 'created';
  context.note({ orderId: id, replayed });
  const headers = { location: pathOf(id), ...(replayed ? { 'idempotent-replayed': 'true' } : {}) };
  return result.kind === 'replayed'
    ? { status: 202, headers, bytes: result.answer }
    : { status: 202, headers, json: result.order };
}

async function startWorkflow(deps: ApiDeps, context: RequestContext, accepted: OrderView): Promise<void> {
  const start = {
    orderId: accepted.id,
    totalMinor: accepted.totalMinor,
    currency: accepted.currency,
    incarnation: 0,
  };
  await bestEffort(context.log, { orderId: accepted.id }, 'workflow not started; the sweeper will start it', () =>
    deps.workflows.start(start),
  );
}

/** A stopping process answers with the order as it is rather than with a broken connection. */
async function waitFor(
  deps: ApiDeps,
  id: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<OrderView | undefined> {
  try {
    return await deps.views.waitForConfirmation(id, timeoutMs, signal);
  } catch (error) {
    if (deps.draining?.aborted === true) return deps.views.find(id);
    throw error;
  }
}
