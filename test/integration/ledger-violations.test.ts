/** That each kind of contradiction is found and named, and that no moment of a sound order is taken for one. */
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { withAuditRecords } from '../../src/adapters/postgres/audit-records.ts';
import { postgresFacts } from '../../src/adapters/postgres/facts.ts';
import { findViolations } from '../../src/adapters/postgres/ledger-violations.ts';
import { run } from '../../src/commands/audit.ts';
import { type ViolationKind, violationKinds } from '../../src/domain/fact-ports.ts';
import { insertConsumer } from '../support/delivery-rows.ts';
import { OrderStory, type Twist, twists } from '../support/order-story.ts';
import { newPostgresStores } from '../support/postgres-stores.ts';
import { type Shop, shopOf } from '../support/store-conformance/shop.ts';

let made: Awaited<ReturnType<typeof newPostgresStores>>;
let shop: Shop;
let admin: Client;

beforeEach(async () => {
  made = await newPostgresStores();
  shop = shopOf(made.stores);
  admin = new Client({ connectionString: made.url });
  await admin.connect();
  // Damage is what append-only tables are there to prevent.
  await admin.query('set session_replication_role = replica');
});
afterEach(async () => {
  await admin.end();
  await made.stop();
});

/** Both ways to look, which must agree; those of no kind are left out. */
async function violations(): Promise<Partial<Record<ViolationKind, string[]>>> {
  const counts = await postgresFacts(made.db).violations();
  const named: Partial<Record<ViolationKind, string[]>> = {};
  for (const kind of violationKinds) {
    const list = await findViolations(made.db, kind, 100);
    expect([kind, list.length]).toEqual([kind, counts[kind]]);
    if (list.length > 0) named[kind] = list.map(({ subject, problem }) => `${subject}: ${problem}`);
  }
  return named;
}

/** As if so much time had gone by since all that happened. */
async function letPass(interval: string): Promise<void> {
  const columns = {
    orders: ['created_at', 'updated_at', 'finished_at', 'started_at'],
    effects: ['requested_at', 'settled_at', 'tombstoned_at', 'undone_at'],
    attentions: ['opened_at', 'closed_at'],
    events: ['at'],
  };
  for (const [table, names] of Object.entries(columns)) {
    const moved = names.map((name) => `${name} = ${name} - interval '${interval}'`);
    await admin.query(`update ${table} set ${moved.join(', ')}`);
  }
}

describe('a sound order', () => {
  test.each(twists)('with %s contradicts nothing at any moment, nor later', async (twist) => {
    const look = async (): Promise<void> => expect(await violations()).toEqual({});
    const story = new OrderStory(made.stores, shop, look);
    await story.tell([twist]);
    await letPass('2 hours');
    await look();
  });

  test('of any two twists contradicts nothing', async () => {
    const twist = fc.constantFrom<Twist>(...twists);
    await fc.assert(
      fc.asyncProperty(twist, twist, async (one, other) => {
        await new OrderStory(made.stores, shop, async () => undefined).tell([one, other]);
        expect(await violations()).toEqual({});
      }),
      { numRuns: 15, endOnFailure: true },
    );
    await letPass('2 hours');
    expect(await violations()).toEqual({});
  });
});

describe('found, named and counted is', () => {
  const confirmed = () => shop.sku().then((sku) => shop.confirmed([{ sku, quantity: 2 }]));
  const capture = async (orderId: string, fulfillmentId: string, generation: number, amountMinor = 500) => {
    const step = shop.step(orderId, 'capture', fulfillmentId, generation);
    const money = { orderId, amountMinor, currency: 'GBP', fulfillmentId, authorizationId: `auth-${orderId}` };
    await made.stores.effects.open(step, 'capture', money);
    await made.stores.effects.settle(step, 'capture', { outcome: 'captured', captureId: `c${generation}` });
    return step;
  };

  test('an order that is authorized twice, unless one of them was given up within the hour', async () => {
    const { orderId } = await confirmed();
    await made.stores.outstanding.markStarted(orderId);
    const again = shop.step(orderId, 'authorize', undefined, 2);
    await made.stores.effects.openAuthorize(again);
    await made.stores.effects.settle(again, 'authorize', { outcome: 'authorized', authorizationId: 'other' });
    const double = `order ${orderId}: authorized 2 times, by order-${orderId}:authorize:1, order-${orderId}:authorize:2`;
    expect(await violations()).toEqual({ double_charge: [double] });
    await made.stores.effects.tombstone(again, 'authorize');
    expect(await violations()).toEqual({});
    await letPass('61 minutes');
    expect(await violations()).toEqual({ double_charge: [double] });
    const money = { orderId, amountMinor: 500, currency: 'GBP', authorizationId: 'other' };
    await made.stores.effects.open(shop.step(orderId, 'void'), 'void', money);
    await made.stores.effects.settle(shop.step(orderId, 'void'), 'void', { outcome: 'voided' });
    expect(await violations()).toEqual({});
  });

  test('a fulfillment that was captured twice, which is more than the order costs', async () => {
    const { orderId, fulfillmentId } = await confirmed();
    await capture(orderId, fulfillmentId, 1);
    expect(await violations()).toEqual({});
    await capture(orderId, fulfillmentId, 2);
    expect(await violations()).toEqual({
      double_charge: [expect.stringContaining(`order ${orderId}: fulfillment ${fulfillmentId} captured 2 times`)],
      overcharge: [`order ${orderId}: captured 1000, refunds deducted, of a total of 500`],
    });
  });

  test('a capture of more than the order costs', async () => {
    const { orderId, fulfillmentId } = await confirmed();
    await capture(orderId, fulfillmentId, 1, 501);
    expect(await violations()).toEqual({ overcharge: [expect.stringContaining('captured 501')] });
  });

  test('an order at its end that still holds money, or keeps it, an hour after', async () => {
    const [held, kept] = [await confirmed(), await confirmed()];
    await capture(kept.orderId, kept.fulfillmentId, 1);
    for (const { orderId } of [held, kept]) {
      await made.stores.stock.release({ ...shop.step(orderId, 'release'), undoes: shop.step(orderId, 'reserve').key });
      await made.stores.orders.finish({ ...shop.step(orderId, 'finish'), status: 'cancelled', reason: 'x' });
    }
    expect(await violations()).toEqual({});
    await letPass('61 minutes');
    const found = [
      `order ${held.orderId}: is at its end: 0 captured and not refunded, 500 held`,
      `order ${kept.orderId}: is at its end: 500 captured and not refunded, 0 held`,
    ];
    expect(await violations()).toEqual({ charged_after_end: found.toSorted() });
  });

  test('an order that no workflow was started for within a day, and not one that waits for Temporal to come back', async () => {
    const { id } = await shop.accept([{ sku: await shop.sku(), quantity: 1 }]);
    await letPass('23 hours 59 minutes');
    expect(await violations()).toEqual({});
    await letPass('2 minutes');
    expect(await violations()).toEqual({ lost_order: [expect.stringContaining(`order ${id}: is received since`)] });
    await made.stores.outstanding.markStarted(id);
    expect(await violations()).toEqual({});
  });

  test.each([
    [
      'too much is reserved',
      'update stock set reserved = reserved + 1',
      '3 reserved, and the reservations add up to 2',
    ],
    ['too little is reserved', 'update stock set reserved = 1', '1 reserved, and the reservations add up to 2'],
    ['its row is gone', 'delete from stock', '0 reserved, and the reservations add up to 2'],
  ])('an article of which %s', async (_what, damage, problem) => {
    await confirmed();
    await admin.query(damage);
    expect(await violations()).toEqual({ stock_mismatch: [expect.stringContaining(problem)] });
  });

  test('an event without a delivery for who was to get it, and not one of before or for others', async () => {
    await shop.accept([{ sku: await shop.sku(), quantity: 1 }]);
    const consumer = await insertConsumer(made.db, {
      types: ['evenkeel.order.created.*'],
      filter: { data: { lines: 1 } },
    });
    const longAgo = `created_at = created_at - interval '1 hour'`;
    await admin.query(`update events set at = at - interval '2 hours'; update consumers set ${longAgo}`);
    const { id } = await shop.accept([{ sku: await shop.sku(), quantity: 1 }]);
    await shop.accept([
      { sku: await shop.sku(), quantity: 1 },
      { sku: await shop.sku(), quantity: 1 },
    ]);
    await shop.reserve(id);
    expect(await violations()).toEqual({});
    const { rows } = await admin.query<{ event_id: string }>('delete from deliveries returning event_id');
    const missing = rows.map(
      ({ event_id: event }) => `event ${event}: of order ${id} has no delivery for consumer ${consumer}`,
    );
    expect(missing).toHaveLength(1);
    expect(await violations()).toEqual({ undelivered_event: missing });

    // Perhaps it was to get it, perhaps not: what it wants changed at that very time.
    await admin.query(
      `insert into consumer_changes (consumer_id, at, action, actor, types, filter, state)
       select id, clock_timestamp(), 'changed', 'test', types, filter, state from consumers`,
    );
    expect(await violations()).toEqual({});
  });
});

test('an audit, however long it takes, is none of those whom the judge of the objectives waits for', async () => {
  const waitedFor = `select 1 from pg_stat_activity where datname = current_database()
    and application_name = 'evenkeel' and xact_start is not null and pid <> pg_backend_pid()`;
  await withAuditRecords(made.db, async (records) => {
    await records.consumers();
    expect((await admin.query(waitedFor)).rowCount).toBe(0);
  });
  await made.db.transaction(async () => {
    expect((await admin.query(waitedFor)).rowCount).toBe(1);
  });
});

describe('evenkeel audit ledgers', () => {
  const audit = async (...words: string[]): Promise<{ code: number; out: string }> => {
    const stdout = new PassThrough();
    const env = { DATABASE_URL: made.url };
    const code = await run(['ledgers', ...words], { stdout, stderr: stdout, env, signal: AbortSignal.abort() });
    stdout.end();
    return { code, out: await text(stdout) };
  };

  test('says so where all agree, and names what does not', async () => {
    const sku = await shop.sku();
    expect(await audit()).toEqual({ code: 0, out: 'the ledgers agree\n' });
    await admin.query('update stock set reserved = 1');
    const problem = '1 reserved, and the reservations add up to 0';
    const subject = `sku ${sku} at main`;
    expect(await audit()).toEqual({ code: 1, out: `stock_mismatch: ${subject}: ${problem}\n1 violations\n` });
    const lines = [{ kind: 'stock_mismatch', subject, problem }, { violations: 1 }];
    expect(await audit('--json')).toEqual({ code: 1, out: lines.map((line) => `${JSON.stringify(line)}\n`).join('') });
  });
});
