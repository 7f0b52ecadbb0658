import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { postgresAuditLog } from '../../src/adapters/postgres/audit-log.ts';
import { connect } from '../../src/adapters/postgres/database.ts';
import { newPostgresStores } from '../support/postgres-stores.ts';
import { type Shop, shopOf } from '../support/store-conformance/shop.ts';

/** What the upkeep asks of the stores, where it takes time to pass or a look into the tables to see it. */
let made: Awaited<ReturnType<typeof newPostgresStores>>;
let shop: Shop;
let admin: Client;

beforeAll(async () => {
  made = await newPostgresStores();
  shop = shopOf(made.stores);
  admin = new Client({ connectionString: made.url });
  await admin.connect();
});
afterAll(async () => {
  await admin.end();
  await made.stop();
});

const received = async (): Promise<string> => (await shop.accept([{ sku: await shop.sku(), quantity: 1 }])).id;

test('a flagged order that changed since is looked at again though it is not idle', async () => {
  const { orders, outstanding } = made.stores;
  const [flagged, plain] = [await received(), await received()];
  await outstanding.flag(flagged, 'workflow_stands_still: no change for 1 ms');
  const idle = async () => {
    await admin.query("update orders set looked_at = now() - interval '1 hour' where id = any($1)", [[flagged, plain]]);
    const taken = await outstanding.takeIdle(60_000, 1000);
    return taken.filter(({ orderId }) => orderId === flagged || orderId === plain);
  };
  expect(await idle()).toEqual([]);
  await Promise.all([flagged, plain].map((id) => orders.confirm(shop.step(id, 'confirm'))));
  expect(await idle()).toMatchObject([{ orderId: flagged, flag: { changedSince: true } }]);
});

test('a new workflow is left to the API that asked for it, and only then to a sweeper', async () => {
  const { outstanding } = made.stores;
  const id = await received();
  await outstanding.markStarted(id);
  await outstanding.flag(id, 'workflow_closed');
  await admin.query("update orders set created_at = created_at - interval '1 hour' where id = $1", [id]);
  await outstanding.restartable(id, 'd1');
  const mine = async (olderThanMs: number) =>
    (await outstanding.unstarted(olderThanMs, 1000)).filter(({ orderId }) => orderId === id);
  expect(await mine(60_000)).toEqual([]);
  expect(await mine(0)).toHaveLength(1);
});

describe('what became of a decision', () => {
  const attention = { attentionId: 'a1', step: 'reserve', reason: 'x', allowed: ['retry'] } as const;
  const decided = async () => {
    const id = await received();
    const { orders, requests } = made.stores;
    await orders.openAttention({ ...shop.step(id, 'open_attention'), ...attention });
    const decision = { attentionId: 'a1', action: 'retry', actor: 'ada', reason: 'fixed' } as const;
    return { id, ...(await requests.recordDecision(id, decision)) };
  };
  const resultOf = async (decisionId: string) => {
    const { rows } = await admin.query<{ result: string | null; settled: boolean }>(
      'select result, settled_at is not null as settled from decisions where id = $1',
      [decisionId],
    );
    return rows[0];
  };

  test('is not known until the workflow says so, by closing the attention with it', async () => {
    const { id, decisionId } = await decided();
    expect(await resultOf(decisionId)).toEqual({ result: null, settled: false });
    const how = { by: 'decision', decisionId, action: 'retry' } as const;
    await made.stores.orders.closeAttention({ ...shop.step(id, 'close_attention'), attentionId: 'a1', how });
    expect(await resultOf(decisionId)).toEqual({ result: 'accepted', settled: true });
  });

  test('is known of a lost workflow once there is to be another', async () => {
    const { id } = await decided();
    await made.stores.outstanding.flag(id, 'workflow_closed');
    const again = { attentionId: 'workflow-0', action: 'retry', actor: 'ada', reason: 'again' } as const;
    const { decisionId } = await made.stores.requests.recordDecision(id, again);
    await made.stores.outstanding.restartable(id, decisionId);
    expect(await resultOf(decisionId)).toEqual({ result: 'accepted', settled: true });
  });
});

test('an effect that landed after its undo is a stray though its order goes on, once the undo is surely over', async () => {
  const { effects } = made.stores;
  const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
  const book = shop.step(orderId, 'book', fulfillmentId);
  await effects.openBook({ ...book, fulfillmentId });
  await effects.tombstone(book, 'book');
  await effects.settle(book, 'book', { outcome: 'never_happened' });
  await effects.settle(book, 'book', { outcome: 'booked', shipmentId: 's1', trackingNumber: 't1' });
  const mine = async () => (await effects.strays(1000)).filter((stray) => stray.orderId === orderId);
  const past = (minutes: number) =>
    admin.query("update effects set tombstoned_at = now() - $2 * interval '1 minute' where key = $1", [
      book.key,
      minutes,
    ]);
  await past(4.9);
  expect(await mine()).toEqual([]);
  await past(5.1);
  expect(await mine()).toEqual([{ orderId, key: book.key, kind: 'book', fulfillmentId }]);
});

test('a decision is one that was recorded as it is, by somebody who was allowed to', async () => {
  const { orders, requests } = made.stores;
  const db = connect(made.url, { pool: 1 });
  onTestFinished(() => db.destroy());
  const id = await received();
  const attention = { attentionId: 'a1', step: 'reserve', reason: 'x', allowed: ['retry', 'cancel'] } as const;
  await orders.openAttention({ ...shop.step(id, 'open_attention'), ...attention });
  const entry = { actor: 'key:a', roles: ['operator'], action: 'decideOrder', reason: null, traceId: null } as const;
  const path = `/v1/orders/${id}/decisions`;
  const decision = { attentionId: 'a1', action: 'retry', actor: 'ada', reason: 'fixed' } as const;
  const recorded = async (outcome: 'allowed' | 'denied', subject = path) => {
    const auditId = await postgresAuditLog(db).write({ ...entry, outcome, subject });
    const { decisionId } = await requests.recordDecision(id, { ...decision, auditId });
    return { orderId: id, attentionId: 'a1', action: 'retry', decisionId, auditId } as const;
  };
  const allowed = await recorded('allowed');
  await orders.checkDecision(allowed);
  const others = [
    { ...allowed, action: 'cancel' },
    { ...allowed, attentionId: 'a2' },
    { ...allowed, orderId: await received() },
    { ...allowed, auditId: (await recorded('allowed')).auditId },
    await recorded('denied'),
    await recorded('allowed', '/v1/orders/another/decisions'),
  ] as const;
  for (const other of others) {
    await expect(orders.checkDecision(other)).rejects.toMatchObject({ code: 'decision_not_allowed' });
  }
  const { decisionId } = await requests.recordDecision(id, decision);
  await expect(orders.checkDecision({ ...allowed, decisionId })).rejects.toMatchObject({
    code: 'decision_not_allowed',
  });
});
