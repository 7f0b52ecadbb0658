/** What stands where now, by the records alone: no worker runs here. */
import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connect } from '../../src/adapters/postgres/database.ts';
import { postgresFacts } from '../../src/adapters/postgres/facts.ts';
import type { Facts } from '../../src/domain/fact-ports.ts';
import { allowedDecisions, type StepName } from '../../src/domain/steps.ts';
import { freePort } from '../../src/embedded/ports.ts';
import { insertConsumer, insertDelivery, insertOrder } from '../support/delivery-rows.ts';
import { newPostgresStores } from '../support/postgres-stores.ts';
import { type Shop, shopOf } from '../support/store-conformance/shop.ts';

let made: Awaited<ReturnType<typeof newPostgresStores>>;
let shop: Shop;
let admin: Client;
let facts: Facts;

beforeEach(async () => {
  made = await newPostgresStores();
  shop = shopOf(made.stores);
  facts = postgresFacts(made.db);
  admin = new Client({ connectionString: made.url });
  await admin.connect();
});
afterEach(async () => {
  await admin.end();
  await made.stop();
});

const HOUR_MS = 3_600_000;
const received = async (): Promise<string> => (await shop.accept([{ sku: await shop.sku(), quantity: 1 }])).id;
const older = (id: string, column: string): Promise<unknown> =>
  admin.query(`update orders set ${column} = ${column} - interval '1 day' where id = $1`, [id]);

test('of an empty store there is nothing to tell, but its size and its connections', async () => {
  const { connections, connectionsMax, storeBytes, ...rest } = await facts.read();
  expect(rest).toEqual({
    openOrders: {},
    openAttentions: {},
    oldestStartableMs: 0,
    oldestUnknownPaymentMs: 0,
    failedCompensations: 0,
    lags: [],
    deadLetters: {},
    parkedMessages: 0,
  });
  expect(connections).toBeGreaterThanOrEqual(2);
  expect(connectionsMax).toBeGreaterThan(connections);
  expect(storeBytes).toBeGreaterThan(1e6);
});

test('who may not see what others do counts their connections all the same', async () => {
  const role = `watcher_${randomBytes(4).toString('hex')}`;
  await admin.query(`create role ${role} login password 'x' in role pg_read_all_data`);
  const url = new URL(made.url);
  url.username = role;
  url.password = 'x';
  const db = connect(url.href, { pool: 1 });
  try {
    // Ours, the test's own and the stores'.
    expect((await postgresFacts(db).read()).connections).toBeGreaterThanOrEqual(3);
  } finally {
    await db.destroy();
    await admin.query(`drop role ${role}`);
  }
});

test('an order counts by its status until it is at its end', async () => {
  const { orderId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
  const gone = await received();
  await received();
  expect((await facts.read()).openOrders).toEqual({ received: 2, confirmed: 1 });
  await made.stores.orders.finish({ ...shop.step(gone, 'finish'), status: 'rejected', reason: 'x' });
  await shop.book(orderId, `${orderId}-1`);
  await shop.dispatch(orderId, `${orderId}-1`);
  expect((await facts.read()).openOrders).toEqual({ received: 1, fulfilling: 1 });
});

test('an order that nobody could start grows older, also one that is tried again and again', async () => {
  const id = await received();
  await older(id, 'created_at');
  await made.stores.outstanding.unstarted(0, 10);
  expect((await facts.read()).oldestStartableMs).toBeGreaterThanOrEqual(HOUR_MS);
  await made.stores.outstanding.markStarted(id);
  expect((await facts.read()).oldestStartableMs).toBe(0);
});

test('an old order whose workflow is to be started anew is as old as that wish', async () => {
  const id = await received();
  await made.stores.outstanding.markStarted(id);
  await older(id, 'created_at');
  await made.stores.outstanding.flag(id, 'workflow_missing');
  await made.stores.outstanding.restartable(id, 'd1');
  const asked = await facts.read();
  expect(asked.oldestStartableMs).toBeLessThan(HOUR_MS / 2);
  expect((await facts.violations()).lost_order).toBe(0);
  await older(id, 'updated_at');
  expect((await facts.read()).oldestStartableMs).toBeGreaterThanOrEqual(HOUR_MS);
});

test('a payment without an answer is unknown since it was asked for, and a booking is no payment', async () => {
  const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
  const { effects } = made.stores;
  await effects.openBook({ ...shop.step(orderId, 'book', fulfillmentId), fulfillmentId });
  await admin.query(`update effects set requested_at = requested_at - interval '1 hour'`);
  expect((await facts.read()).oldestUnknownPaymentMs).toBe(0);

  const money = { orderId, amountMinor: 250, currency: 'GBP', authorizationId: 'x' };
  await effects.open(shop.step(orderId, 'void'), 'void', money);
  await admin.query(`update effects set requested_at = requested_at - interval '1 hour' where kind = 'void'`);
  expect((await facts.read()).oldestUnknownPaymentMs).toBeGreaterThanOrEqual(HOUR_MS);
  await effects.settle(shop.step(orderId, 'void'), 'void', { outcome: 'never_happened' });
  expect((await facts.read()).oldestUnknownPaymentMs).toBe(0);
});

test('what waits for a person is told by step, and what should have been taken back apart', async () => {
  const id = await received();
  const { orders } = made.stores;
  const open = (attentionId: string, step: StepName): Promise<void> =>
    orders.openAttention({
      ...shop.step(id, 'open_attention', attentionId),
      attentionId,
      step,
      reason: 'x',
      allowed: allowedDecisions(step),
    });
  await open('a1', 'authorize');
  await open('a2', 'void');
  await open('a3', 'refund');
  await open('a4', 'refund');
  const seen = await facts.read();
  expect([seen.openAttentions, seen.failedCompensations]).toEqual([{ authorize: 1, void: 1, refund: 2 }, 3]);
  const how = { by: 'recovery' } as const;
  await orders.closeAttention({ ...shop.step(id, 'close_attention', 'a4'), attentionId: 'a4', how });
  expect((await facts.read()).failedCompensations).toBe(2);
});

test('a consumer is as far behind as its oldest event that is pending', async () => {
  const { db } = made;
  const [behind, fine, paused] = [
    await insertConsumer(db),
    await insertConsumer(db),
    await insertConsumer(db, { state: 'paused' }),
  ];
  await insertDelivery(db, behind, { ageMs: HOUR_MS, status: 'delivered' });
  await insertDelivery(db, behind, { ageMs: 60_000, dueInMs: 60_000 });
  await insertDelivery(db, behind);
  await insertDelivery(db, fine, { status: 'dead', cause: 'timeout' });
  await insertDelivery(db, paused, { ageMs: 90_000 });
  await admin.query(`update consumers set state_since = state_since - interval '1 day'`);
  await admin.query(`update consumer_health set mode = 'probing' where consumer_id = $1`, [behind]);
  const lags = new Map((await facts.read()).lags.map((lag) => [lag.consumerId, lag]));
  expect(lags.get(behind)).toMatchObject({ pending: 2, state: 'enabled', mode: 'probing' });
  expect(lags.get(behind)?.lagMs).toBeGreaterThanOrEqual(60_000);
  expect(lags.get(behind)?.lagMs).toBeLessThan(HOUR_MS);
  expect(lags.get(fine)).toMatchObject({ pending: 0, lagMs: 0, mode: 'normal' });
  expect(lags.get(paused)).toMatchObject({ pending: 1, lagMs: 0, state: 'paused' });
  await admin.query(`update consumers set deleted_at = clock_timestamp() where id = $1`, [behind]);
  expect((await facts.read()).lags).toHaveLength(2);
});

test('what was held for a consumer ages from when it is enabled again, and what is sent again had its time', async () => {
  const { db } = made;
  const [resumed, again] = [await insertConsumer(db), await insertConsumer(db)];
  await insertDelivery(db, resumed, { ageMs: HOUR_MS });
  await admin.query(`update consumers set state_since = clock_timestamp() - interval '20 seconds'`);
  await insertDelivery(db, again, { ageMs: HOUR_MS, isLate: true });
  const lags = new Map((await facts.read()).lags.map((lag) => [lag.consumerId, lag]));
  expect(lags.get(again)).toMatchObject({ pending: 1, lagMs: 0 });
  expect(lags.get(resumed)?.lagMs).toBeGreaterThanOrEqual(20_000);
  expect(lags.get(resumed)?.lagMs).toBeLessThan(HOUR_MS);
});

test('dead letters are told by cause, and parked messages by number', async () => {
  const { db } = made;
  const consumer = await insertConsumer(db);
  for (const cause of ['timeout', 'timeout', 'consumer_deleted'] as const) {
    await insertDelivery(db, consumer, { status: 'dead', cause });
  }
  await insertDelivery(db, consumer, { status: 'discarded' });
  await admin.query(
    `insert into inbox (channel, message_id, parked_at) values ('amqp', 'm1', now()), ('amqp', 'm2', null)`,
  );
  const { deadLetters, parkedMessages } = await facts.read();
  expect([deadLetters, parkedMessages]).toEqual([{ timeout: 2, consumer_deleted: 1 }, 1]);
});

test('violations are counted apart from all else', async () => {
  const id = await insertOrder(made.db);
  expect((await facts.violations()).lost_order).toBe(0);
  await older(id, 'created_at');
  expect(await facts.violations()).toEqual({
    double_charge: 0,
    overcharge: 0,
    lost_order: 1,
    charged_after_end: 0,
    stock_mismatch: 0,
    undelivered_event: 0,
  });
});

test('a store that does not answer is told as such', async () => {
  const away = connect(`postgres://nobody@127.0.0.1:${await freePort()}/none`, { pool: 1 });
  await expect(postgresFacts(away).read()).rejects.toMatchObject({ code: 'store_unavailable' });
  await expect(postgresFacts(away).violations()).rejects.toMatchObject({ code: 'store_unavailable' });
  await away.destroy();
});
