/** That the judge counts what a count by hand counts: each thing once, whoever judges and whenever. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withAuditRecords } from '../../src/adapters/postgres/audit-records.ts';
import { postgresSloRecords } from '../../src/adapters/postgres/slo-records.ts';
import type { SloCounts } from '../../src/domain/objectives.ts';
import { type History, randomHistory } from '../support/slo-histories.ts';
import { byMinute, verdictsOf } from '../support/slo-oracle.ts';
import { writeHistory } from '../support/slo-rows.ts';
import { judgeAll, newSloStore, thresholds } from '../support/slo-store.ts';
import { waitFor } from '../support/wait.ts';

let store: Awaited<ReturnType<typeof newSloStore>>;
beforeAll(async () => {
  store = await newSloStore();
});
afterAll(() => store.stop());

/** Long enough ago that all of it is due. */
const HOUR_MS = 3_600_000;

async function written(seed: number, options?: { orders?: number }): Promise<History> {
  const since = Math.floor(Date.now() / 1_000) * 1_000 - HOUR_MS;
  await store.begin(since - 1);
  const history = randomHistory(seed, since, options);
  await writeHistory(store.admin, history);
  return history;
}

async function totals(): Promise<Record<string, SloCounts>> {
  const all = await store.records().totals();
  return Object.fromEntries(all.map(({ slo, good, bad, excluded }) => [slo, { good, bad, excluded }]));
}

function totalsOf(history: History): Record<string, SloCounts> {
  const sums: Record<string, { good: number; bad: number; excluded: number }> = {};
  for (const { slo, verdict } of verdictsOf(history, thresholds)) {
    (sums[slo] ??= { good: 0, bad: 0, excluded: 0 })[verdict] += 1;
  }
  return sums;
}

test.each([1, 2, 3, 4, 5, 6])('a random history is counted as by hand, in one go (seed %i)', async (seed) => {
  const history = await written(seed);
  const [round] = await judgeAll(store.records());
  expect(await store.minutes()).toEqual(byMinute(verdictsOf(history, thresholds)));
  expect(await totals()).toMatchObject(totalsOf(history));
  expect(round?.judged).toMatchObject(totalsOf(history));
  expect(await judgeAll(store.records())).toMatchObject([{ more: false }]);
  expect(await totals()).toMatchObject(totalsOf(history));
});

test('the histories have everything: each objective with good ones, bad ones and those that do not count', () => {
  const counts = totalsOf(randomHistory(1, 0, { orders: 400 }));
  expect(Object.values(counts).flatMap(({ good, bad, excluded }) => [good, bad, excluded])).toSatisfy(
    // No order is excluded.
    (all: number[]) => all.filter((count) => count === 0).length === 1,
  );
});

test.each([11, 12])('little by little, it comes to the same (seed %i)', async (seed) => {
  const history = await written(seed);
  const rounds = await judgeAll(store.records({ most: 50 }));
  expect(rounds.length).toBeGreaterThan(5);
  expect(await store.minutes()).toEqual(byMinute(verdictsOf(history, thresholds)));
});

test('what happened at the same moment is judged in the same round, however much it is', async () => {
  const history = await written(21, { orders: 40 });
  const at = history.orders[0]?.at ?? 0;
  const same = { ...history, orders: history.orders.map((order) => ({ ...order, at })) };
  await store.begin(at - 1_000);
  await writeHistory(store.admin, same);
  await judgeAll(store.records({ most: 3 }));
  expect((await totals())['order-processing']).toEqual(totalsOf(same)['order-processing']);
});

test('four judges at a time count each thing once', async () => {
  const history = await written(31);
  const judges = [1, 2, 3, 4].map(() => postgresSloRecords(store.another(), { most: 30 }));
  await Promise.all(judges.map((records) => judgeAll(records)));
  expect(await store.minutes()).toEqual(byMinute(verdictsOf(history, thresholds)));
  expect(await totals()).toMatchObject(totalsOf(history));
});

test('a round that dies counts nothing, and the next one counts it once', async () => {
  const history = await written(41);
  await store.admin.query(`
    create function die() returns trigger language plpgsql as $$ begin raise 'no' using errcode = '57P01'; end $$;
    create trigger die before update on slo_cursors for each row execute function die();
    alter table slo_cursors enable always trigger die`);
  await expect(store.records().judge(thresholds)).rejects.toMatchObject({ code: 'store_unavailable' });
  expect(await store.minutes()).toEqual({});
  await store.admin.query('drop function die cascade');
  await judgeAll(store.records());
  expect(await store.minutes()).toEqual(byMinute(verdictsOf(history, thresholds)));
});

test('another threshold is for what comes later: nothing is judged again, nothing is left out', async () => {
  const history = await written(51);
  const sums = (counts: Record<string, SloCounts>) =>
    Object.entries(counts).map(([slo, { good, bad, excluded }]) => `${slo}: ${good + bad + excluded}`);
  await store.records({ most: 40 }).judge(thresholds);
  const longer = { 'order-processing': 5_000, 'delivery-dispatch': 2_000, 'delivery-platform': 600_000 };
  await store.records({ most: 40 }).judge({ ...thresholds, ...longer });
  await judgeAll(store.records());
  expect(sums(await totals())).toEqual(expect.arrayContaining(sums(totalsOf(history))));
});

describe('a transaction that is still open', () => {
  const order = `insert into orders (id, caller, idempotency_key, body_hash, customer_id, currency, total_minor,
      payment_token, shipping_address, created_at, updated_at)
    values ($1, 'default', $1, 'hash', 'c1', 'EUR', 100, 'tok', '{}', clock_timestamp(), clock_timestamp())
    returning created_at as at`;
  const soon = { ...thresholds, 'order-processing': 1 };
  const count = async () => (await totals())['order-processing'];

  test.each([
    { called: 'is waited for', query: '' },
    { called: 'is waited for by whatever name its URL has', query: '?application_name=orders-prod' },
    { called: 'is waited for where a URL has options', query: '?options=-c%20application_name%3Dshop' },
  ])('$called: what it commits after the deadline counts by its time', async ({ query }) => {
    await store.begin(Date.now() - 1_000);
    const other = store.another(query);
    const { promise: mayCommit, resolve: commit } = Promise.withResolvers<void>();
    const { promise: hasBegun, resolve: begun } = Promise.withResolvers<void>();
    const confirming = other.transaction(async (trx) => {
      await trx.selectFrom('orders').select('id').execute();
      begun();
      await mayCommit;
      await trx
        .insertInto('events')
        .columns(['id', 'order_id', 'sequence', 'type', 'at', 'body'])
        .expression((e) =>
          e
            .selectFrom('orders')
            .select([
              'id',
              'id as order_id',
              e.lit(2).as('sequence'),
              e.val('evenkeel.order.confirmed.v1').as('type'),
              'created_at as at',
              e.val('{}').as('body'),
            ]),
        )
        .execute();
    });
    await hasBegun;
    await store.admin.query(order, ['slow']);
    await store.admin.query('select pg_sleep(0.01)');
    await judgeAll(store.records(), soon);
    expect(await count()).toEqual({ good: 0, bad: 0, excluded: 0 });
    commit();
    await confirming;
    await waitFor('it is judged', async () => {
      await judgeAll(store.records(), soon);
      return (await count())?.good === 1;
    });
    expect(await count()).toEqual({ good: 1, bad: 0, excluded: 0 });
  });

  test('is not waited for where it is the audit, or somebody else: these write nothing that is judged', async () => {
    await store.begin(Date.now() - 1_000);
    await store.admin.query('begin; select 1');
    await withAuditRecords(store.another(), async () => {
      await store.admin.query(order, ['quick']);
      await store.admin.query('commit; select pg_sleep(0.01)');
      await judgeAll(store.records(), soon);
    });
    expect(await count()).toEqual({ good: 0, bad: 1, excluded: 0 });
  });
});

test('without cursors and totals, as in a store that was emptied, it begins now', async () => {
  await written(61);
  await store.admin.query('truncate slo_cursors, slo_totals, slo_minutes');
  await judgeAll(store.records());
  expect(await store.minutes()).toEqual({});
  expect(new Set(Object.values(await totals()).map((counts) => JSON.stringify(counts)))).toEqual(
    new Set(['{"good":0,"bad":0,"excluded":0}']),
  );
  const { rows } = await store.admin.query<{ count: number }>(
    `select count(*)::int from slo_cursors where judged_until > now() - interval '1 minute'`,
  );
  expect(rows).toEqual([{ count: 5 }]);
});
