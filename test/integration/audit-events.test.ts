/** That the audit finds nothing where all is sound, and each kind of damage, by its name, where it is not. */
import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readClock, withAuditRecords } from '../../src/adapters/postgres/audit-records.ts';
import { contains } from '../../src/audit/contains.ts';
import { auditEvents } from '../../src/audit/events.ts';
import { Receipts } from '../../src/audit/receipts.ts';
import type { Finding, ReceiptRecord } from '../../src/audit/records.ts';
import { insertConsumer } from '../support/delivery-rows.ts';
import { newPostgresStores } from '../support/postgres-stores.ts';
import { type Shop, shopOf } from '../support/store-conformance/shop.ts';

let made: Awaited<ReturnType<typeof newPostgresStores>>;
let shop: Shop;
let admin: Client;
/** Gets everything; the other one confirmations of orders above 100 only, and there are none. */
let consumerId: string;

beforeAll(async () => {
  made = await newPostgresStores();
  shop = shopOf(made.stores);
  admin = new Client({ connectionString: made.url });
  await admin.connect();
  // Damage is what append-only tables and foreign keys are there to prevent.
  await admin.query('set session_replication_role = replica');
  consumerId = await consumer(['evenkeel.order.*'], null);
  await consumer(['evenkeel.order.confirmed.v1'], { data: { totalMinor: 1 } });
});
afterAll(async () => {
  await admin.end();
  await made.stop();
});

async function consumer(types: readonly string[], filter: Record<string, unknown> | null): Promise<string> {
  const id = await insertConsumer(made.db, { types, filter });
  await admin.query(`update consumers set state_since = clock_timestamp() - interval '1 hour' where id = $1`, [id]);
  await admin.query(
    `insert into consumer_changes (consumer_id, at, action, actor, types, filter, state)
     values ($1, clock_timestamp() - interval '1 hour', 'created', 'test', $2, $3, 'enabled')`,
    [id, JSON.stringify(types), filter === null ? null : JSON.stringify(filter)],
  );
  return id;
}

/** An order that is confirmed, whose events have all been delivered. */
async function soundOrder(): Promise<string> {
  const { id } = await shop.accept([{ sku: await shop.sku(), quantity: 1 }]);
  await shop.reserve(id);
  await shop.authorize(id);
  await made.stores.orders.confirm(shop.step(id, 'confirm'));
  await admin.query(
    `with done as (
       update deliveries set status = 'delivered', settled_at = clock_timestamp(), attempts = 1 where order_id = $1
       returning id, consumer_id
     )
     insert into attempts (delivery_id, consumer_id, started_at, duration_ms, outcome, status, relay)
     select id, consumer_id, clock_timestamp(), 5, 'delivered', 204, 'test' from done`,
    [id],
  );
  return id;
}

async function audit(receipts?: Receipts): Promise<Finding[]> {
  const findings: Finding[] = [];
  await withAuditRecords(made.db, (records) =>
    auditEvents(records, receipts, (finding) => void findings.push(finding)),
  );
  return findings;
}

test('nothing is found where all is sound', async () => {
  await soundOrder();
  expect(await audit()).toEqual([]);
});

const confirmed = `order_id = $1 and type = 'evenkeel.order.confirmed.v1'`;
const itsDelivery = `order_id = $1 and event_id = (select id from events where ${confirmed})`;

describe.each<[damage: string, statements: readonly string[], found: readonly [Finding['check'], RegExp][]]>([
  [
    'an event that is gone',
    [`delete from deliveries where ${itsDelivery}`, `delete from events where ${confirmed}`],
    [
      ['transition', /1 of evenkeel.order.confirmed.v1 wanted.*0 found/],
      ['event', /event number 4 of 4 is missing/],
    ],
  ],
  [
    'a change that was never written down as one',
    [`update orders set confirmed_at = null where id = $1`],
    [['transition', /0 of evenkeel.order.confirmed.v1 wanted, because confirmed_at is empty; 1 found/]],
  ],
  [
    'money that moved without an event',
    [`update payment_entries set phase = 'failure', code = 'declined' where order_id = $1 and phase = 'success'`],
    [
      ['transition', /0 of evenkeel.order.payment_authorized.v1 wanted.*1 found/],
      ['transition', /1 of evenkeel.order.payment_declined.v1 wanted.*0 found/],
    ],
  ],
  [
    'an envelope that was changed',
    [`update events set body = replace(body, '"subject":"', '"subject":"x') where ${confirmed}`],
    [['event', /its envelope says subject x/]],
  ],
  [
    'a delivery that was forgotten',
    [
      `delete from attempts where delivery_id in (select id from deliveries where ${itsDelivery})`,
      `delete from deliveries where ${itsDelivery}`,
    ],
    [['intended', /was to get it and has no delivery/]],
  ],
  [
    'a delivery to somebody whom it was not meant for',
    [
      `insert into deliveries (event_id, consumer_id, order_id, sequence, created_at, next_attempt_at)
       select e.id, c.id, e.order_id, e.sequence, clock_timestamp(), clock_timestamp()
       from events e, consumers c where e.order_id = $1 and e.sequence = 1 and c.filter is not null`,
    ],
    [['intended', /has a delivery and was not to get it/]],
  ],
  [
    'a delivery that calls itself delivered',
    [`delete from attempts where delivery_id in (select id from deliveries where ${itsDelivery})`],
    [['outcome', /it is delivered, and no attempt in its log was/]],
  ],
  [
    'a dead letter that nothing failed for',
    [`update deliveries set status = 'dead', cause = 'http_500' where ${itsDelivery}`],
    [['outcome', /it is dead by http_500, and no attempt in its log failed/]],
  ],
  [
    'a dead letter that nobody discarded',
    [`update deliveries set status = 'discarded' where ${itsDelivery}`],
    [['outcome', /it is discarded, and nobody did so/]],
  ],
  [
    'an event that is corrected by none',
    [`update deliveries set status = 'replaced' where ${itsDelivery}`],
    [['outcome', /it is replaced, and nobody edited it/]],
  ],
  [
    'a delivery that is stuck',
    [
      `update deliveries set settled_at = clock_timestamp() - interval '1 hour' where order_id = $1`,
      `update deliveries set status = 'pending', settled_at = null,
         next_attempt_at = clock_timestamp() - interval '2 minutes' where ${itsDelivery}`,
    ],
    [['outcome', /it is due for 12\d s, and nothing explains why it waits/]],
  ],
  [
    'a corrected event whose original was sent all the same',
    [
      `insert into events (id, order_id, sequence, type, at, body, replaces)
       select 'new-' || id, order_id, sequence, type, at,
         replace(replace(body, id, 'new-' || id), '"data":', '"replaces":"' || id || '","data":'), id
       from events where ${confirmed}`,
      `insert into deliveries (event_id, consumer_id, order_id, sequence, created_at, next_attempt_at, is_late)
       select 'new-' || event_id, consumer_id, order_id, sequence, clock_timestamp(), clock_timestamp(), true
       from deliveries where ${itsDelivery.replace('type =', 'replaces is null and type =')}`,
    ],
    [['intended', /the delivery that it stands in for is delivered, not replaced/]],
  ],
])('%s', (_damage, statements, found) => {
  test('is found, and nothing else is', async () => {
    const id = await soundOrder();
    for (const statement of statements) await admin.query(statement, [id]);
    const findings = await audit();
    const ours = findings.filter(({ orderId }) => orderId === id);
    expect(ours).toEqual(
      found.map(([check, problem]) => expect.objectContaining({ check, problem: expect.stringMatching(problem) })),
    );
    expect(findings).toHaveLength(ours.length);
    await admin.query('delete from attempts where delivery_id in (select id from deliveries where order_id = $1)', [
      id,
    ]);
    for (const table of ['deliveries', 'events', 'payment_entries', 'fulfillments']) {
      await admin.query(`delete from ${table} where order_id = $1`, [id]);
    }
    await admin.query('delete from orders where id = $1', [id]);
  });
});

describe('a delivery that waits', () => {
  const waits = `update deliveries set status = 'pending', settled_at = null,
    next_attempt_at = clock_timestamp() - interval '2 minutes' where ${itsDelivery}`;

  test.each([
    ['its consumer is paused', `update consumers set state = 'paused' where id = $1`],
    ['its consumer is in trouble', `update consumer_health set mode = 'probing' where consumer_id = $1`],
    [
      'its consumer asked for patience',
      `update consumer_health set throttled_until = clock_timestamp() + interval '1 minute' where consumer_id = $1`,
    ],
    ['its consumer was resumed just now', `update consumers set state_since = clock_timestamp() where id = $1`],
    [
      'the patience that its consumer asked for is just over',
      `update consumer_health set throttled_until = clock_timestamp() - interval '1 second' where consumer_id = $1`,
    ],
    [
      'the trouble of its consumer is just over',
      `insert into consumer_changes (consumer_id, at, action, actor, types, filter, state)
       select id, clock_timestamp(), 'trouble_ended', 'test', types, filter, state from consumers where id = $1`,
    ],
    [
      'its consumer works off what is as old',
      `update deliveries set created_at = clock_timestamp() - interval '3 minutes' where consumer_id = $1`,
    ],
    [
      'one before it was settled just now',
      `update deliveries d set settled_at = clock_timestamp() where consumer_id = $1 and status = 'delivered'`,
    ],
  ])('because %s is none of the findings', async (_why, statement) => {
    const id = await soundOrder();
    await admin.query(waits, [id]);
    await admin.query(
      `update deliveries set settled_at = clock_timestamp() - interval '1 hour' where order_id = $1 and status = 'delivered'`,
      [id],
    );
    expect(await audit()).toHaveLength(1);
    await admin.query(statement, [consumerId]);
    expect(await audit()).toEqual([]);
    await admin.query(
      `update consumers set state = 'enabled', state_since = clock_timestamp() - interval '1 hour' where id = $1`,
      [consumerId],
    );
    await admin.query(`delete from consumer_changes where action = 'trouble_ended'`);
    await admin.query(`update consumer_health set mode = 'normal', throttled_until = null where consumer_id = $1`, [
      consumerId,
    ]);
    await admin.query(
      `update deliveries set status = 'delivered', settled_at = clock_timestamp() where ${itsDelivery}`,
      [id],
    );
  });

  test('is stuck where its consumer, with a backlog or not, was sent nothing for a minute', async () => {
    const id = await soundOrder();
    await admin.query(
      `update deliveries set created_at = clock_timestamp() - interval '1 hour',
         settled_at = clock_timestamp() - interval '1 hour' where consumer_id = $1`,
      [consumerId],
    );
    await admin.query(waits, [id]);
    expect(await audit()).toEqual([]);
    await admin.query(`update attempts set started_at = clock_timestamp() - interval '61 seconds'`);
    expect(await audit()).toMatchObject([
      { orderId: id, check: 'outcome', problem: expect.stringContaining('due for') },
    ]);
    // Too slow to have ended one, but at it.
    await admin.query(
      `update deliveries set status = 'pending', settled_at = null, token = 'a', is_late = true,
         next_attempt_at = clock_timestamp() + interval '1 minute'
       where order_id = $1 and consumer_id = $2 and sequence = 1`,
      [id, consumerId],
    );
    expect(await audit()).toEqual([]);
    await admin.query(
      `update deliveries set status = 'delivered', settled_at = clock_timestamp(), token = null, is_late = false
       where order_id = $1`,
      [id],
    );
  });
});

describe('with the receipts of a consumer', () => {
  const all = async (): Promise<ReceiptRecord[]> =>
    (
      await admin.query<ReceiptRecord>(
        `select event_id as "eventId", order_id as subject, sequence, false as late from deliveries
         where consumer_id = $1 and status = 'delivered' order by order_id, sequence`,
        [consumerId],
      )
    ).rows;
  const withReceipts = async (change: (receipts: ReceiptRecord[]) => ReceiptRecord[]): Promise<string[]> => {
    const findings = await audit(new Receipts(consumerId, change(await all())));
    expect(new Set(findings.map(({ check }) => check))).toEqual(new Set(findings.length === 0 ? [] : ['receipt']));
    return findings.map(({ problem }) => problem);
  };

  test('all is sound where each delivery has its own', async () => {
    await soundOrder();
    expect(await withReceipts((receipts) => receipts)).toEqual([]);
  });

  test('one that is missing is found', async () => {
    expect(await withReceipts((receipts) => receipts.slice(0, -1))).toEqual([
      'it was delivered, and the consumer has no receipt',
    ]);
  });

  test('one of what was delivered after they were asked for is not missed', async () => {
    const receipts = await all();
    const askedAt = await readClock(made.db);
    await soundOrder();
    expect(await audit(new Receipts(consumerId, receipts, askedAt))).toEqual([]);
    expect(await audit(new Receipts(consumerId, receipts.slice(1), askedAt))).toHaveLength(1);
  });

  test('one of a corrected event is in its place if the consumer told it as late', async () => {
    const of = (late: boolean): string[] => {
      const receipt = { subject: 'o1', sequence: 5 };
      const corrected = { ...receipt, eventId: 'e5-corrected', late };
      const receipts = new Receipts('c1', [{ ...receipt, eventId: 'e5', late: false }, corrected]);
      return receipts.rest().map(({ problem }) => problem);
    };
    expect(of(true)).not.toContain('number 5 came after 5 and was not told as late');
    expect(of(false)).toContain('number 5 came after 5 and was not told as late');
  });

  test('one that is there twice, or came from nowhere, is found', async () => {
    const stranger = { eventId: randomUUID(), subject: 'nobody', sequence: 1, late: false };
    const problems = await withReceipts((receipts) => [...receipts, ...receipts.slice(-1), stranger]);
    expect(problems).toEqual([
      'the consumer has two receipts of it',
      'the consumer has a receipt of what was not meant for it',
    ]);
  });

  test('one out of order is found, unless the consumer told that it was late', async () => {
    const swap = (late: boolean) => (receipts: ReceiptRecord[]) => {
      const [first, second, ...rest] = receipts;
      if (!first || !second) throw new Error('too few receipts');
      return [second, { ...first, late }, ...rest];
    };
    expect(await withReceipts(swap(false))).toEqual(['number 1 came after 2 and was not told as late']);
    expect(await withReceipts(swap(true))).toEqual([]);
  });
});

test('contains means what it means to PostgreSQL', async () => {
  const json = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom(null, true, 1, 2, 'a', 'b'),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value'), { maxKeys: 3 }),
    ),
  })).value;
  await fc.assert(
    fc.asyncProperty(json, json, async (whole, part) => {
      const { rows } = await admin.query<{ contained: boolean }>('select $1::jsonb @> $2::jsonb as contained', [
        JSON.stringify(whole),
        JSON.stringify(part),
      ]);
      expect(contains(whole, part)).toBe(rows[0]?.contained);
    }),
    { numRuns: 500 },
  );
});
