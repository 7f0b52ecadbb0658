/** What is read of what was counted: since ever, by window, by consumer. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { removeOldMinutes } from '../../src/adapters/postgres/slo-counts.ts';
import { readByConsumer } from '../../src/adapters/postgres/slo-consumers.ts';
import { postgresSloRecords } from '../../src/adapters/postgres/slo-records.ts';
import { type SloCounts, sloNames } from '../../src/domain/objectives.ts';
import { randomHistory } from '../support/slo-histories.ts';
import { verdictsOf } from '../support/slo-oracle.ts';
import { writeHistory } from '../support/slo-rows.ts';
import { judgeAll, newSloStore, thresholds } from '../support/slo-store.ts';
import { pooled } from '../support/wait.ts';

const MINUTE_MS = 60_000;
let store: Awaited<ReturnType<typeof newSloStore>>;
beforeAll(async () => {
  store = await newSloStore();
});
beforeEach(() => store.begin(Date.now()));
afterAll(() => store.stop());

const api = async (windowsMs: readonly number[]) =>
  (await store.records().windows(windowsMs)).find(({ slo }) => slo === 'api-availability')?.windows;

/** As many bad ones as minutes ago, in each of these minutes. */
async function minutesAgo(ages: readonly number[]): Promise<void> {
  await store.admin.query(
    `insert into slo_minutes (slo, minute, good, bad)
     select 'api-availability', date_trunc('minute', now()) - age * interval '1 minute', 1000, age from unnest($1::int[]) age`,
    [ages],
  );
}

test('a store in which nothing was counted says so for each objective and window, in their order', async () => {
  const none = { good: 0, bad: 0, excluded: 0 };
  const records = store.records();
  expect(await records.totals()).toMatchObject(sloNames.map((slo) => ({ slo, ...none })));
  expect(await records.windows([MINUTE_MS, 5 * MINUTE_MS])).toEqual(
    sloNames.map((slo) => ({ slo, windows: [none, none] })),
  );
  expect(await records.windows([])).toEqual(sloNames.map((slo) => ({ slo, windows: [] })));
  expect(await records.byConsumer(3_600_000, 30_000)).toEqual([]);
});

test('a window has the running minute and all that begin within it, in whatever order windows are asked for', async () => {
  await minutesAgo([0, 1, 4, 5, 59, 60, 61]);
  const [hour, five, none] = (await api([60 * MINUTE_MS, 5 * MINUTE_MS, 0])) ?? [];
  expect(none).toEqual({ good: 1000, bad: 0, excluded: 0 });
  // Unless the clock is at a full minute, the minute an hour ago began before the window.
  expect(five?.bad).toBeOneOf([5, 10]);
  expect(hour?.bad).toBeOneOf([69, 129]);
});

test('requests of several processes add up, in a minute and since ever', async () => {
  const records = [store.another(), store.another(), store.another()];
  const minute = new Date(Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS);
  const before = new Date(minute.getTime() - MINUTE_MS);
  await pooled(Array.from({ length: 30 }), 6, async (_, n) => {
    const counted = [
      { minute, good: 2, bad: 1 },
      { minute: before, good: 1, bad: 0 },
    ];
    const db = records[n % 3] ?? store.db;

    await postgresSloRecords(db).addRequests(n % 2 === 0 ? counted : counted.toReversed());
  });
  const total = (await store.records().totals()).find(({ slo }) => slo === 'api-availability');
  expect(total).toEqual({ slo: 'api-availability', good: 90, bad: 30, excluded: 0, judgedUntil: null });
  expect(await api([10 * MINUTE_MS])).toEqual([{ good: 90, bad: 30, excluded: 0 }]);
  await store.records().addRequests([]);
});

test('what is judged until when is the oldest of what an objective is judged by', async () => {
  await store.admin.query(
    `update slo_cursors set judged_until = now() - interval '2 hours' where pass = 'attentions-overdue'`,
  );
  const { rows } = await store.admin.query<{ at: Date }>(
    `select judged_until as at from slo_cursors where pass = 'attentions-overdue'`,
  );
  const until = async () => (await store.records().totals()).find(({ slo }) => slo === 'human-decision')?.judgedUntil;
  expect(await until()).toEqual(rows[0]?.at);
  await judgeAll(store.records());
  expect((await until())?.getTime()).toBeGreaterThan((rows[0]?.at.getTime() ?? 0) + 3_600_000);
});

test('minutes of more than four hundred days ago are removed, and what there was since ever stays', async () => {
  const day = 24 * 60;
  await store.records().addRequests([{ minute: new Date(), good: 1, bad: 0 }]);
  await minutesAgo([401 * day, 402 * day, 399 * day]);
  await store.db.transaction(removeOldMinutes);
  const { rows } = await store.admin.query(`select 1 from slo_minutes`);
  expect(rows).toHaveLength(2);
  expect((await store.records().totals())[5]).toMatchObject({ slo: 'api-availability', good: 1 });
});

describe('by consumer', () => {
  test('what each got in time is counted from its deliveries, the worst first', async () => {
    const since = Math.floor(Date.now() / 1_000) * 1_000 - 3_600_000;
    const history = randomHistory(71, since);
    await writeHistory(store.admin, history);
    const counts = history.consumers.map(({ id }) => {
      const own = { ...history, deliveries: history.deliveries.filter(({ consumerId }) => consumerId === id) };
      const verdicts = verdictsOf(own, thresholds).filter(({ slo }) => slo === 'delivery-end-to-end');
      const of = (wanted: string) => verdicts.filter(({ verdict }) => verdict === wanted).length;
      return { consumerId: id, name: `name of ${id}`, good: of('good'), bad: of('bad'), excluded: of('excluded') };
    });
    const share = ({ good, bad }: SloCounts) => bad / (good + bad);
    const all = ({ good, bad, excluded }: SloCounts) => good + bad + excluded;
    const worst = counts.toSorted((one, other) => share(other) - share(one) || all(other) - all(one));
    expect(await store.records().byConsumer(7_200_000, 30_000)).toEqual(worst);
    // Of all together the newest so many.
    const newest = await store.db.read((queries) => readByConsumer(queries, 7_200_000, 30_000, 100));
    expect(newest.reduce((sum, one) => sum + all(one), 0)).toBe(100);
  });

  test('an event whose time is not over is not counted, nor is one before the window', async () => {
    const since = Math.floor(Date.now() / 1_000) * 1_000;
    await writeHistory(store.admin, randomHistory(72, since - 3_600_000, { lengthMs: 60_000 }));
    expect(await store.records().byConsumer(1_800_000, 30_000)).toEqual([]);
    expect(await store.records().byConsumer(7_200_000, 7_000_000)).toEqual([]);
  });
});
