import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { changeOrder, insertFirstEvent, withOrder } from '../../src/adapters/postgres/change.ts';
import { postgresEventViews } from '../../src/adapters/postgres/event-views.ts';
import type { EventFilter, EventView, EventViews } from '../../src/domain/consumer-ports.ts';
import { insertConsumer, insertDelivery, insertEvent, insertOrder } from '../support/delivery-rows.ts';
import { newPostgresStores } from '../support/postgres-stores.ts';
import { failure, times } from '../support/store-conformance/shop.ts';
import { pooled, waitFor } from '../support/wait.ts';

let made: Awaited<ReturnType<typeof newPostgresStores>>;
let events: EventViews;

beforeAll(async () => {
  made = await newPostgresStores();
  events = postgresEventViews(made.db);
});
afterAll(() => made.stop());

/** All that there is from `cursor` on, page by page, and where that ends. */
async function readOn(filter: Omit<EventFilter, 'limit'> = {}, limit = 3) {
  const seen: EventView[] = [];
  let { cursor } = filter;
  for (;;) {
    const page = await events.list({ ...filter, cursor, limit });
    seen.push(...page.data);
    if (page.nextCursor === null) return seen;
    cursor = page.nextCursor;
  }
}

/** A change by the one writer of events; `during` happens after it was written and before it is committed. */
const change = (orderId: string, reason: string, during: () => Promise<void> = () => Promise.resolve()) =>
  withOrder(made.db, orderId, async (order) => {
    await changeOrder(order, { events: [{ type: 'evenkeel.order.cancellation_requested.v1', data: { reason } }] });
    await during();
  });

const reasons = (seen: readonly EventView[]) =>
  seen.map(({ envelope }) => (envelope['data'] as { readonly reason?: string }).reason);

test('events are paged from the oldest on, those of one moment by order and sequence', async () => {
  const [one = '', two = ''] = [await insertOrder(made.db), await insertOrder(made.db)].toSorted();
  const rows = [
    { id: randomUUID(), orderId: two, sequence: 2, secondsAgo: 90 },
    { id: randomUUID(), orderId: one, sequence: 2, secondsAgo: 60 },
    { id: randomUUID(), orderId: one, sequence: 10, secondsAgo: 60 },
    { id: randomUUID(), orderId: two, sequence: 3, secondsAgo: 60 },
    { id: randomUUID(), orderId: one, sequence: 11, secondsAgo: 30 },
  ];
  await made.db.read((queries) =>
    sql`insert into events (id, order_id, sequence, type, at, body)
      select r.id, r."orderId", r.sequence, 'evenkeel.order.completed.v1',
        statement_timestamp() - r."secondsAgo" * interval '1 second', '{}'
      from jsonb_to_recordset(${JSON.stringify(rows.toReversed())})
          as r (id text, "orderId" text, sequence int, "secondsAgo" int)`.execute(queries),
  );
  const seen = await readOn({ type: 'evenkeel.order.completed.v1' }, 2);
  expect(seen.map(({ id }) => id)).toEqual(rows.map(({ id }) => id));
});

test('the filters hold together, and a pattern takes an underscore as it is', async () => {
  const orderId = await insertOrder(made.db);
  const [old] = [
    await insertEvent(made.db, { orderId, sequence: 1, type: 'evenkeel.order.payment_voided.v1', ageMs: 60_000 }),
    await insertEvent(made.db, { orderId, sequence: 2, type: 'evenkeel.order.confirmed.v1', ageMs: 20_000 }),
    await insertEvent(made.db, { orderId, sequence: 3, type: 'evenkeel.order.payment_voided.v1', ageMs: 10_000 }),
    await insertEvent(made.db, { sequence: 4, type: 'evenkeel.order.payment_voided.v1', ageMs: 10_000 }),
  ];
  const sequences = async (filter: Omit<EventFilter, 'limit'>) =>
    (await readOn({ subject: orderId, ...filter })).map(({ sequence }) => sequence);
  const since = new Date(Date.now() - 40_000).toISOString();
  expect(await sequences({})).toEqual([1, 2, 3]);
  expect(await sequences({ type: '*.payment_voided.v1' })).toEqual([1, 3]);
  expect(await sequences({ type: '*.payment_voided.v1', since })).toEqual([3]);
  expect(await sequences({ type: '*.confirmed_v1' })).toEqual([]);
  const [first] = await readOn({ subject: orderId });
  expect(first).toMatchObject({ id: old.eventId, orderId, replaces: null, type: 'evenkeel.order.payment_voided.v1' });
  expect(first?.envelope).toMatchObject({ id: old.eventId, subject: orderId, specversion: '1.0' });
});

test.each([[['a']], [['a', '1e3', 'b']], [['a', 1, 'b']]])('a cursor of another list is refused: %j', async (rest) => {
  const cursor = Buffer.from(JSON.stringify(['2026-01-01T00:00:00.000Z', ...rest])).toString('base64url');
  const refusal = await failure(events.list({ limit: 1, cursor }), 'invalid_input');
  expect(refusal.message).toContain(cursor);
});

test('whoever reads on misses no event whose transaction is still open while a later one is committed', async () => {
  const [slow, fast] = [await insertOrder(made.db), await insertOrder(made.db)];
  const since = new Date().toISOString();
  let before: readonly EventView[] = [];
  await change(slow, 'slow', async () => {
    await change(fast, 'fast');
    before = await readOn({ since });
  });
  expect(reasons(before)).toEqual([]);
  const after = await waitFor('both', async () => {
    const seen = await readOn({ since });
    return seen.length === 2 && seen;
  });
  expect(reasons(after)).toEqual(['slow', 'fast']);
});

test('nor one whose transaction took its time and has written nothing yet', async () => {
  const [slow, fast] = [await insertOrder(made.db), await insertOrder(made.db)];
  const since = new Date().toISOString();
  let before: readonly EventView[] = [];
  await made.db.transaction(async (trx) => {
    const { rows } = await sql<{ at: Date }>`select clock_timestamp()::timestamptz(3) as at`.execute(trx);
    await change(fast, 'fast');
    before = await readOn({ since });
    const event = { type: 'evenkeel.order.created.v1', data: { reason: 'slow' } } as const;
    await insertFirstEvent(trx, { orderId: slow, at: rows[0]?.at ?? new Date(), traceparent: undefined }, event);
  });
  expect(reasons(before)).toEqual([]);
  const after = await waitFor('both', async () => {
    const seen = await readOn({ since });
    return seen.length === 2 && seen;
  });
  expect(reasons(after)).toEqual(['slow', 'fast']);
});

test('whoever follows while many are written sees each once, in the order of the list', async () => {
  const orders = await pooled(times(6, String), 6, () => insertOrder(made.db));
  const since = new Date().toISOString();
  let isDone = false;
  const writing = pooled(times(150, String), 8, (reason, index) => change(orders[index % 6] ?? '', reason)).finally(
    () => {
      isDone = true;
    },
  );
  const followed: string[] = [];
  let cursor: string | undefined;
  let rest = false;
  while (!rest) {
    rest = isDone;
    const page = await events.list({ since, cursor, limit: 7 });
    // Behind the last page there is no cursor: take the place of its first event, and skip what was seen.
    followed.push(...page.data.map(({ id }) => id).filter((id) => !followed.includes(id)));
    cursor = page.nextCursor ?? cursor;
    if (page.nextCursor !== null) rest = false;
  }
  await writing;
  const all = await waitFor('the last one', async () => {
    const seen = await readOn({ since }, 50);
    return seen.length === 150 && seen.map(({ id }) => id);
  });
  const later = all.slice(followed.length);
  expect([...followed, ...later]).toEqual(all);
  const bySequence = Map.groupBy(await readOn({ since }, 50), ({ orderId }) => orderId);
  for (const ofOrder of bySequence.values()) {
    expect(ofOrder.map(({ sequence }) => sequence)).toEqual(times(ofOrder.length, (index) => index + 1));
  }
});

test('a transaction of somebody else that only reads holds up nothing', async () => {
  const orderId = await insertOrder(made.db);
  await made.db.transaction(async (trx) => {
    await sql`set local application_name = 'pg_dump'`.execute(trx);
    await sql`select count(*) from events`.execute(trx);
    await change(orderId, 'seen');
    await waitFor('it to be seen', async () => (await readOn({ subject: orderId })).length === 1, 10_000);
  });
  expect(reasons(await readOn({ subject: orderId }))).toEqual(['seen']);
});

test('an event is shown with all its deliveries, a deleted consumer’s too, and every attempt', async () => {
  const [first, gone] = [await insertConsumer(made.db, { name: 'first' }), await insertConsumer(made.db)];
  const event = await insertEvent(made.db);
  const delivered = await insertDelivery(made.db, first, { event, status: 'delivered', attempts: 2 });
  const pending = await insertDelivery(made.db, gone, { event });
  await made.db.read((queries) =>
    sql`insert into attempts (delivery_id, consumer_id, started_at, duration_ms, outcome, cause, status, answer, error,
        relay, late)
      values (${delivered.id}, ${first}, clock_timestamp(), 7, 'failed', 'http_500', 500, 'oops', 'said 500', 'r1', true),
        (${delivered.id}, ${first}, clock_timestamp(), 8, 'delivered', null, 200, 'ok', null, 'r2', false)`.execute(
      queries,
    ),
  );
  await made.db.read((queries) =>
    sql`update consumers set deleted_at = created_at where id = ${gone}`.execute(queries),
  );
  const found = await events.find(event.eventId);
  expect(found).toMatchObject({ id: event.eventId, sequence: 1, replaces: null, envelope: { id: event.eventId } });
  const startedAt = expect.any(String);
  const [one, two] = found?.deliveries ?? [];
  expect(one).toEqual({
    id: String(delivered.id),
    consumerId: first,
    consumerName: 'first',
    status: 'delivered',
    attempts: 2,
    nextAttemptAt: null,
    settledAt: expect.any(String),
    log: [
      {
        startedAt,
        durationMs: 7,
        outcome: 'failed',
        cause: 'http_500',
        status: 500,
        answer: 'oops',
        error: 'said 500',
        relay: 'r1',
        late: true,
      },
      {
        startedAt,
        durationMs: 8,
        outcome: 'delivered',
        cause: null,
        status: 200,
        answer: 'ok',
        error: null,
        relay: 'r2',
        late: false,
      },
    ],
  });
  expect(two).toMatchObject({
    id: String(pending.id),
    status: 'pending',
    settledAt: null,
    nextAttemptAt: expect.any(String),
    log: [],
  });
  expect(await events.find(randomUUID())).toBeUndefined();
});
