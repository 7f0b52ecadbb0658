/** Whom nobody blames for a consumer that is, or was, held: and who is blamed for all else. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { readByConsumer } from '../../src/adapters/postgres/slo-consumers.ts';
import { judgeAll, newSloStore, thresholds } from '../support/slo-store.ts';

const MINUTE_MS = 60_000;
let store: Awaited<ReturnType<typeof newSloStore>>;
let since: number;
beforeAll(async () => {
  store = await newSloStore();
});
beforeEach(async () => {
  since = Math.floor(Date.now() / 1_000) * 1_000 - 30 * MINUTE_MS;
  await store.begin(since - 1);
});
afterAll(() => store.stop());

const at = (ms: number): Date => new Date(since + ms);

/** What was done to it, and when, after it was created. */
async function consumer(id: string, ...changes: readonly (readonly [number, string, string])[]): Promise<void> {
  await store.admin.query(
    `insert into consumers (id, name, target, types, like_types, max_in_flight, state, state_since, secret, created_at)
     values ($1, $1, '{}', '[]', '{}', 100, 'enabled', now(), 's', now() - interval '1 day')`,
    [id],
  );
  await store.admin.query(`insert into consumer_health (consumer_id) values ($1)`, [id]);
  for (const [ms, action, state] of [[-MINUTE_MS, 'created', 'enabled'] as const, ...changes]) {
    await store.admin.query(
      `insert into consumer_changes (consumer_id, at, action, actor, types, state) values ($1, $2, $3, 't', '[]', $4)`,
      [id, at(ms), action, state],
    );
  }
}

/** An event of an order of its own, and when each consumer got it; never, if null. */
async function event(id: string, ms: number, got: Readonly<Record<string, number | null>>): Promise<void> {
  await store.admin.query(
    `insert into events (id, order_id, sequence, type, at, body) values ($1, $1, 1, 'evenkeel.order.confirmed.v1', $2, '{}')`,
    [id, at(ms)],
  );
  for (const [consumerId, gotMs] of Object.entries(got)) {
    const sent = gotMs === null ? null : at(gotMs);
    await store.admin.query(
      `with d as (
         insert into deliveries (event_id, consumer_id, order_id, sequence, status, created_at, next_attempt_at,
           first_attempt_at, settled_at)
         values ($1, $2, $1, 1, $5, $3, $3, $4, $4::timestamptz + interval '5 milliseconds') returning id, first_attempt_at
       )
       insert into attempts (delivery_id, consumer_id, started_at, duration_ms, outcome, relay)
       select id, $2, first_attempt_at, 5, 'delivered', 'r' from d where first_attempt_at is not null`,
      [id, consumerId, at(ms), sent, sent === null ? 'pending' : 'delivered'],
    );
  }
}

/** Good, bad and excluded of the three that events are judged by. */
async function judged(): Promise<Record<string, string>> {
  await judgeAll(store.records(), thresholds);
  const totals = (await store.records().totals()).filter(({ slo }) => slo.startsWith('delivery'));
  return Object.fromEntries(
    totals.map(({ slo, good, bad, excluded }) => [slo.replace('delivery-', ''), `${good} ${bad} ${excluded}`]),
  );
}

test('one consumer that is paused takes no good event away from the others', async () => {
  await consumer('on');
  await consumer('off', [-1, 'paused', 'paused']);
  await event('e1', 0, { on: 50, off: null });
  await event('e2', 100, { on: 150, off: null });
  await event('late', 200, { on: 40_200, off: null });
  await event('nobody', 300, { off: null });
  expect(await judged()).toEqual({ dispatch: '2 1 4', platform: '2 1 1', 'end-to-end': '2 1 4' });
});

const PAUSED = [0, 'paused', 'paused'] as const;
const RESUMED = [10 * MINUTE_MS, 'resumed', 'enabled'] as const;

/** A backlog of ten minutes, which is sent within the two minutes after. */
async function backlog(): Promise<void> {
  for (let n = 0; n < 24; n += 1) {
    await event(`b${n}`, 1_000 + n * 20_000, { c: 10 * MINUTE_MS + n * 5_000 + 1_000 });
  }
}

test('what happens after a consumer was resumed waits for its backlog, and is nobody’s fault', async () => {
  await consumer('c', PAUSED, RESUMED);
  await backlog();
  await event('behind', 10 * MINUTE_MS + 3_000, { c: 12 * MINUTE_MS + 1_000 });
  expect(await judged()).toEqual({ dispatch: '0 0 25', platform: '0 0 25', 'end-to-end': '0 0 25' });
  const shares = await store.db.read((queries) => readByConsumer(queries, 60 * MINUTE_MS, 30_000));
  expect(shares).toMatchObject([{ good: 0, bad: 0, excluded: 25 }]);
});

test('what is late after the backlog is gone is our fault, and so is what is late without one', async () => {
  await consumer('c', PAUSED, RESUMED);
  await consumer('d', PAUSED, RESUMED);
  await backlog();
  await event('after', 13 * MINUTE_MS, { c: 14 * MINUTE_MS });
  await event('without', 10 * MINUTE_MS + 3_000, { d: 12 * MINUTE_MS });
  expect(await judged()).toEqual({ dispatch: '0 2 24', platform: '0 2 24', 'end-to-end': '0 2 24' });
});

test('a backlog that waits still is one, and one order’s that is held back is none', async () => {
  await consumer('c', PAUSED, RESUMED);
  await event('first', 1_000, { c: null });
  await event('behind', 10 * MINUTE_MS + 3_000, { c: null });
  expect(await judged()).toEqual({ dispatch: '0 0 2', platform: '0 0 2', 'end-to-end': '0 0 2' });
  await store.begin(since - 1);
  await consumer('c', PAUSED, RESUMED);
  await event('first', 1_000, { c: null });
  await store.admin.query(`update deliveries set next_attempt_at = now() + interval '1 hour'`);
  await event('behind', 10 * MINUTE_MS + 3_000, { c: null });
  expect(await judged()).toEqual({ dispatch: '0 1 1', platform: '0 1 1', 'end-to-end': '0 1 1' });
});
