import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postgresAuditLog } from '../../src/adapters/postgres/audit-log.ts';
import { postgresCatalog } from '../../src/adapters/postgres/catalog.ts';
import { connect, type Database } from '../../src/adapters/postgres/database.ts';
import { postgresInbox } from '../../src/adapters/postgres/inbox.ts';
import { postgresIntake } from '../../src/adapters/postgres/intake.ts';
import { postgresOrders } from '../../src/adapters/postgres/orders.ts';
import { postgresRequests } from '../../src/adapters/postgres/requests.ts';
import { postgresStock } from '../../src/adapters/postgres/stock.ts';
import { postgresViews } from '../../src/adapters/postgres/views.ts';
import type { OrderView } from '../../src/domain/order-ports.ts';
import type { RecordedDecision } from '../../src/domain/step-ports.ts';
import { type StepName, stepKey } from '../../src/domain/steps.ts';
import { currentTraceparent } from '../../src/telemetry/trace-context.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { expectAsDocumented, openApiDocument, operationOf } from '../unit/api-document.ts';
import { carrierHeaders, fakes, newOrder, problem, type Reply, type Send, serve } from '../unit/api-fakes.ts';

/** The API over the real stores; Temporal alone is played, and writes down what it is told. */
let database: TestDatabase;
let db: Database;

beforeAll(async () => {
  database = await testDatabase();
  db = connect(database.url, { pool: 8, traceparent: currentTraceparent });
});
afterAll(async () => {
  await db.destroy();
  await database.drop();
});

const document = await openApiDocument();

function overStores(stores: Database) {
  return {
    ...fakes(),
    intake: postgresIntake(stores),
    views: postgresViews(stores),
    requests: postgresRequests(stores),
    catalog: postgresCatalog(stores),
    inbox: postgresInbox(stores),
    auditLog: postgresAuditLog(stores),
    readiness: [{ name: 'postgres', check: () => stores.ping() }],
  };
}

function documented(operationId: string, reply: Reply): unknown {
  expectAsDocumented(document, operationOf(document, operationId).operation, reply);
  return reply.json;
}

/** A new article in stock, by the API. */
async function article(send: Send, onHand = 10): Promise<string> {
  const sku = `HEART ${randomUUID()}`;
  const path = encodeURIComponent(sku);
  const body = { description: 'Heart', priceMinor: 255, currency: 'GBP' };
  expect((await send('PUT', `/v1/catalog/${path}`, { body })).status).toBe(200);
  expect((await send('PUT', `/v1/stock/${path}`, { body: { onHand } })).status).toBe(200);
  return sku;
}

async function submit(send: Send, sku: string, changes: object = {}, key: string = randomUUID()): Promise<Reply> {
  const body = { ...newOrder, customerId: randomUUID(), items: [{ sku, quantity: 2 }], ...changes };
  return send('POST', '/v1/orders', { body, headers: { 'idempotency-key': key } });
}

const step = (orderId: string, name: StepName) => ({ orderId, key: stepKey(orderId, name, 1) });

test('of fifty posts with one key one makes the order, and the others get its answer', async () => {
  const deps = overStores(db);
  const send = await serve(deps);
  const sku = await article(send);
  const customerId = randomUUID();
  const answered = async (): Promise<Reply> => {
    const reply = await submit(send, sku, { customerId }, `once-${customerId}`);
    return reply.status === 409 ? answered() : reply;
  };
  const replies = await Promise.all(Array.from({ length: 50 }, answered));
  expect(new Set(replies.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
  expect(replies.filter(({ headers }) => headers.get('idempotent-replayed') === null)).toHaveLength(1);
  const page = await send('GET', `/v1/orders?customerId=${customerId}`);
  expect(page.json).toMatchObject({ data: [{ totalMinor: 510 }], nextCursor: null });
  expect(deps.calls.filter(([name]) => name === 'workflows.start')).toHaveLength(1);
});

test('an order is as documented on all its way', async () => {
  const deps = overStores(db);
  const send = await serve(deps);
  const { id } = documented('submitOrder', await submit(send, await article(send))) as OrderView;
  const path = `/v1/orders/${id}`;
  const waiting = send('GET', `${path}?wait=confirmed&timeoutMs=20000`);
  const orders = postgresOrders(db);
  const reserved = await postgresStock(db).reserve(step(id, 'reserve'));
  await orders.confirm(step(id, 'confirm'));
  expect(documented('getOrder', await waiting)).toMatchObject({ status: 'confirmed' });

  const attention = { attentionId: 'a-1', step: 'book', reason: 'no carrier', allowed: ['retry', 'cancel'] } as const;
  await orders.openAttention({ ...step(id, 'open_attention'), ...attention });
  expect(documented('listOrders', await send('GET', '/v1/orders?attention=true'))).toMatchObject({
    data: [{ id, attention: { id: 'a-1' } }],
  });

  const [fulfillmentId = ''] =
    reserved.outcome === 'reserved' ? reserved.fulfillments.map((planned) => planned.id) : [];
  const callback = { messageId: randomUUID(), shipmentId: 's', orderId: id, fulfillmentId, kind: 'dispatched' };
  const told = { ...callback, at: '2026-01-02T03:04:05+23:00' };
  const tell = () =>
    send('POST', '/v1/callbacks/carrier', { body: told, headers: carrierHeaders(told, { id: told.messageId }) });
  expect(documented('carrierCallback', await tell())).toMatchObject({ duplicate: false });
  expect(documented('carrierCallback', await tell())).toMatchObject({ duplicate: true });
  const at = new Date(told.at).toISOString();
  await orders.dispatch({ ...step(id, 'dispatch'), fulfillmentId, at });
  await orders.deliver({ ...step(id, 'deliver'), fulfillmentId, at });
  const delivered = documented('getOrder', await send('GET', path)) as OrderView;
  expect(delivered.fulfillments[0]?.status).toBe('delivered');

  const late = await send('POST', `${path}/cancel`);
  expect(documented('cancelOrder', late)).toMatchObject(problem(409, 'not_cancellable'));
});

test('a cancellation holds to the version that was seen', async () => {
  const deps = overStores(db);
  const send = await serve(deps);
  const { id } = (await submit(send, await article(send))).json as OrderView;
  const seen = (await send('GET', `/v1/orders/${id}`)).headers.get('etag') ?? '';
  await postgresOrders(db).openAttention({
    ...step(id, 'open_attention'),
    attentionId: 'a-1',
    step: 'reserve',
    reason: 'x',
    allowed: ['retry'],
  });
  const cancel = (tag: string) => send('POST', `/v1/orders/${id}/cancel`, { headers: { 'if-match': tag } });
  expect((await cancel(seen)).json).toMatchObject(problem(412, 'version_mismatch'));
  const now = (await send('GET', `/v1/orders/${id}`)).headers.get('etag') ?? '';
  expect(documented('cancelOrder', await cancel(now))).toMatchObject({ cancelRequestedAt: expect.any(String) });
  expect(deps.calls.filter(([name]) => name === 'workflows.cancel')).toEqual([['workflows.cancel', id]]);
});

test('a decision is recorded once it is open, and refused once it is stale', async () => {
  const deps = overStores(db);
  const send = await serve(deps);
  const { id } = (await submit(send, await article(send))).json as OrderView;
  const body = { attentionId: 'a-1', action: 'retry', reason: 'it is back', actor: 'Grace' };
  const decide = (changes: object = {}) =>
    send('POST', `/v1/orders/${id.toUpperCase()}/decisions`, { body: { ...body, ...changes } });
  expect(documented('decideOrder', await decide())).toMatchObject(problem(409, 'attention_stale'));
  const attention = { attentionId: 'a-1', step: 'reserve', reason: 'x', allowed: ['retry'] } as const;
  await postgresOrders(db).openAttention({ ...step(id, 'open_attention'), ...attention });
  expect((await decide({ action: 'skip' })).json).toMatchObject(problem(409, 'decision_not_allowed'));
  const { decisionId } = documented('decideOrder', await decide()) as { decisionId: string };
  const decided = deps.calls.find(([name]) => name === 'workflows.decide');
  expect(decided).toEqual([
    'workflows.decide',
    id,
    { attentionId: 'a-1', decisionId, action: 'retry', auditId: expect.any(String) },
  ]);
  // As the workflow does: by its record it is known to be of this order, however that was spelled.
  const [, , told] = decided as [string, string, Omit<RecordedDecision, 'orderId'>];
  await postgresOrders(db).checkDecision({ orderId: id, ...told });
  await expect(postgresOrders(db).checkDecision({ orderId: randomUUID(), ...told })).rejects.toMatchObject({
    code: 'decision_not_allowed',
  });
});

test('pages follow each other without a gap or a repeat', async () => {
  const send = await serve(overStores(db));
  const sku = await article(send);
  const customerId = randomUUID();
  const ids: string[] = [];
  for (let count = 0; count < 5; count += 1) {
    // One after the other, for their order is what is tested.
    // oxlint-disable-next-line no-await-in-loop
    ids.unshift(((await submit(send, sku, { customerId })).json as OrderView).id);
  }
  const pageFrom = async (cursor: string | null): Promise<readonly string[]> => {
    const from = cursor === null ? '' : `&cursor=${cursor}`;
    const reply = await send('GET', `/v1/orders?customerId=${customerId}&limit=2${from}`);
    const { data, nextCursor } = documented('listOrders', reply) as { data: OrderView[]; nextCursor: string | null };
    const page = data.map((listed) => listed.id);
    return nextCursor === null ? page : [...page, ...(await pageFrom(nextCursor))];
  };
  expect(await pageFrom(null)).toEqual(ids);
});

describe('what the store refuses', () => {
  test('is named at its place', async () => {
    const send = await serve(overStores(db));
    const sku = await article(send);
    const items = [
      { sku, quantity: 1 },
      { sku: 'nobody sells this', quantity: 1 },
    ];
    const reply = await submit(send, sku, { items });
    expect(documented('submitOrder', reply)).toMatchObject(
      problem(422, 'invalid_input', { errors: [{ pointer: '/items/1/sku' }] }),
    );
  });

  test('is no failure of ours, whatever the text', async () => {
    const send = await serve(overStores(db));
    const sku = await article(send);
    const odd = "Robert'); DROP TABLE orders;-- 𠮷野家 \u200f\u{1f4e6}";
    const shippingAddress = { ...newOrder.shippingAddress, name: odd, line1: odd };
    expect((await submit(send, sku, { shippingAddress })).status).toBe(202);
    expect((await send('GET', `/v1/orders?cursor=${'x'.repeat(400)}`)).status).toBe(422);
    expect((await send('GET', `/v1/catalog/${encodeURIComponent("%_'\\")}`)).status).toBe(404);
  });

  test('as a callback is a shipment that is none of ours', async () => {
    const send = await serve(overStores(db));
    const { id } = (await submit(send, await article(send))).json as OrderView;
    const body = {
      messageId: 'm',
      shipmentId: 's',
      orderId: id,
      fulfillmentId: 'x',
      kind: 'dispatched',
      at: '2026-01-01T00:00:00Z',
    };
    const reply = await send('POST', '/v1/callbacks/carrier', { body, headers: carrierHeaders(body, { id: 'm' }) });
    expect(documented('carrierCallback', reply)).toMatchObject(problem(404, 'not_found'));
  });
});

test('with PostgreSQL away every answer says so and when to ask again', async () => {
  const nowhere = connect('postgres://nobody@127.0.0.1:1/none', { pool: 2 });
  try {
    const deps = overStores(nowhere);
    const send = await serve(deps);
    const id = randomUUID();
    const replies = await Promise.all([
      submit(send, 'A'),
      send('GET', `/v1/orders/${id}`),
      send('GET', '/v1/orders'),
      send('POST', `/v1/orders/${id}/cancel`),
      send('GET', '/v1/stock/A'),
    ]);
    for (const reply of replies) {
      expect(reply.json).toMatchObject(problem(503, 'store_unavailable'));
      expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0);
    }
    expect(deps.lines.filter(({ level }) => level === 'error')).toHaveLength(replies.length);
    const ready = documented('readyz', await send('GET', '/readyz'));
    expect(ready).toMatchObject(problem(503, 'not_ready'));
  } finally {
    await nowhere.destroy();
  }
});
