/** Consumers' lag, minute by minute: measured, or missed. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { addVerdicts } from '../../src/adapters/postgres/slo-counts.ts';
import { type LagMinutes, lagVerdicts, nextMinutes } from '../../src/adapters/postgres/slo-lag.ts';
import type { SloCounts } from '../../src/domain/objectives.ts';
import { judgeAll, newSloStore, thresholds } from '../support/slo-store.ts';

const MINUTE_MS = 60_000;
let store: Awaited<ReturnType<typeof newSloStore>>;
/** The end of a minute, a while ago. */
let until: number;
beforeAll(async () => {
  store = await newSloStore();
});
beforeEach(async () => {
  until = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS - 10 * MINUTE_MS;
  await store.begin(until);
});
afterAll(() => store.stop());

let consumers = 0;
/** A consumer that became `states`, each at so many milliseconds after the end of the minute. */
async function consumer(states: readonly (readonly [number, string])[] = [[-3_600_000, 'enabled']]): Promise<string> {
  consumers += 1;
  const id = `c${consumers}`;
  const [first = [0, '']] = states;
  await store.admin.query(
    `insert into consumers (id, name, target, types, like_types, max_in_flight, state, state_since, secret, created_at)
     values ($1, $1, '{}', '[]', '{}', 8, 'enabled', now(), 's', to_timestamp($2 / 1000.0))`,
    [id, until + first[0]],
  );
  await store.admin.query('insert into consumer_health (consumer_id) values ($1)', [id]);
  for (const [at, state] of states) {
    await store.admin.query(
      `insert into consumer_changes (consumer_id, at, action, actor, types, state)
       values ($1, to_timestamp($2 / 1000.0), 'changed', 'test', '[]', $3)`,
      [id, until + at, state],
    );
  }
  return id;
}

/** A delivery that was created and settled at so many milliseconds after the end of the minute. */
async function delivery(
  consumerId: string,
  createdAt: number,
  settledAt: number | null,
  isLate = false,
): Promise<void> {
  const { rows } = await store.admin.query<{ id: number }>(
    `insert into deliveries (event_id, consumer_id, order_id, sequence, status, is_late, created_at, next_attempt_at, settled_at)
     values (gen_random_uuid(), $1, 'o1', 1, case when $3::float8 is null then 'pending' else 'delivered' end, $4,
       to_timestamp($2 / 1000.0), now(), to_timestamp($3 / 1000.0)) returning id`,
    [consumerId, until + createdAt, settledAt === null ? null : until + settledAt, isLate],
  );
  if (settledAt === null) return;
  await store.admin.query(
    `insert into attempts (delivery_id, consumer_id, started_at, duration_ms, outcome, relay)
     values ($1, $2, to_timestamp($3 / 1000.0), 20, 'delivered', 'r')`,
    [rows[0]?.id, consumerId, until + settledAt - 20],
  );
}

async function counted(minutes: Partial<LagMinutes> = {}): Promise<SloCounts> {
  const at = new Date(until);
  const whole = { first: at, last: at, isMeasured: true, more: false, ...minutes };
  const counts = await store.db.transaction((trx) => addVerdicts(trx, lagVerdicts(whole, thresholds)));
  const { good = 0, bad = 0, excluded = 0 } = counts[0] ?? {};
  return { good, bad, excluded };
}

describe('a minute that is measured', () => {
  test('is bad for a consumer that had not got an event of a minute ago, whether it has got it since or not', async () => {
    await delivery(await consumer(), -60_000, null);
    await delivery(await consumer(), -60_000, 1);
    await delivery(await consumer(), -3_600_000, 30_000);
    expect(await counted()).toEqual({ good: 0, bad: 3, excluded: 0 });
  });

  test('is good where all that old is settled by then, and whatever is younger', async () => {
    await consumer();
    const one = await consumer();
    await delivery(one, -60_000, 0);
    await delivery(one, -59_999, null);
    await delivery(one, -59_999, 5_000);
    await delivery(one, 1, null);
    expect(await counted()).toEqual({ good: 2, bad: 0, excluded: 0 });
  });

  test('is good with a dead letter that is sent again: it had its time', async () => {
    await delivery(await consumer(), -3_600_000, null, true);
    expect(await counted()).toEqual({ good: 1, bad: 0, excluded: 0 });
  });

  test('does not count for one that was paused or disabled then, whatever it is now', async () => {
    const lagging = [-3_600_000, null] as const;
    await delivery(
      await consumer([
        [-3_600_000, 'enabled'],
        [-1, 'paused'],
        [1, 'enabled'],
      ]),
      ...lagging,
    );
    await delivery(await consumer([[-3_600_000, 'disabled']]), ...lagging);
    await delivery(
      await consumer([
        [-3_600_000, 'enabled'],
        [1, 'paused'],
      ]),
      ...lagging,
    );
    expect(await counted()).toEqual({ good: 0, bad: 1, excluded: 2 });
  });

  test('is good for a minute after it is enabled again, whatever was held for it', async () => {
    const back = (ms: number) =>
      consumer([
        [-7_200_000, 'enabled'],
        [-3_600_000, 'paused'],
        [ms, 'enabled'],
      ]);
    for (const settledAt of [null, 5_000]) {
      await delivery(await back(-59_999), -3_600_000, settledAt);
      await delivery(await back(-60_000), -3_600_000, settledAt);
    }
    expect(await counted()).toEqual({ good: 2, bad: 2, excluded: 0 });
  });

  test('is nothing to one that was not there yet, or no more', async () => {
    await consumer([[1, 'enabled']]);
    const gone = await consumer();
    await store.admin.query('update consumers set deleted_at = to_timestamp($1 / 1000.0) where id = $2', [until, gone]);
    expect(await counted()).toEqual({ good: 0, bad: 0, excluded: 0 });
  });
});

describe('a minute that nobody measured', () => {
  const unmeasured = { isMeasured: false };

  test('is bad for a consumer that had something old to get, and is nothing for any other', async () => {
    await consumer();
    await delivery(await consumer(), -60_000, null);
    await delivery(await consumer(), -60_000, 300_000);
    const busy = await consumer();
    await delivery(busy, -1_000, 20);
    await delivery(busy, -60_000, 0);
    expect(await counted(unmeasured)).toEqual({ good: 0, bad: 2, excluded: 2 });
  });

  test('is bad for each minute that it lasted, and the last one may be measured', async () => {
    await consumer();
    await delivery(await consumer(), -MINUTE_MS, 5_000);
    const first = new Date(until - 2 * MINUTE_MS);
    // Younger than a minute, then just as old.
    expect(await counted({ first, isMeasured: false })).toEqual({ good: 0, bad: 1, excluded: 5 });
    expect(await counted({ first })).toEqual({ good: 1, bad: 1, excluded: 4 });
  });

  test('does not count for one that was paused', async () => {
    const paused = await consumer([
      [-3_600_000, 'enabled'],
      [-90_000, 'paused'],
    ]);
    await delivery(paused, -3_600_000, null);
    expect(await counted({ ...unmeasured, first: new Date(until - MINUTE_MS) })).toEqual({
      good: 0,
      bad: 0,
      excluded: 2,
    });
  });
});

describe('which minutes are next', () => {
  const next = (afterMs: number, horizonMs: number, nowMs = horizonMs) =>
    store.db.transaction((trx) =>
      nextMinutes(trx, new Date(until + afterMs), { at: new Date(until + horizonMs), now: new Date(until + nowMs) }),
    );
  const at = (minutes: number) => new Date(until + minutes * MINUTE_MS);

  test('none before a minute is over, and all that are over', async () => {
    expect(await next(0, 59_999)).toBeUndefined();
    expect(await next(0, 60_000)).toEqual({ first: at(1), last: at(1), isMeasured: true, more: false });
    expect(await next(30_000, 190_000)).toEqual({ first: at(1), last: at(3), isMeasured: true, more: false });
  });

  test('the last one is measured for a minute, and is missed after that', async () => {
    expect(await next(0, 60_000, 120_000)).toMatchObject({ isMeasured: true });
    expect(await next(0, 60_000, 120_001)).toMatchObject({ last: at(1), isMeasured: false });
  });

  test('a long gap is taken in parts, and no more than thirty days of it', async () => {
    for (let n = 0; n < 20; n += 1) await consumer();
    const days = 24 * 60;
    expect(await next(-2 * days * MINUTE_MS, 0)).toEqual({
      first: at(-2 * days + 1),
      last: at(-2 * days + 100),
      isMeasured: false,
      more: true,
    });
    expect(await next(-40 * days * MINUTE_MS, 0)).toMatchObject({ first: at(-30 * days + 1) });
  });
});

test('after an hour without a judge, each minute of it counts once', async () => {
  await consumer();
  const hour = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS - 60 * MINUTE_MS;
  await store.admin.query(`update slo_cursors set reached = to_timestamp($1 / 1000.0) where pass = 'lag-minutes'`, [
    hour,
  ]);
  await judgeAll(store.records());
  await judgeAll(store.records());
  const { rows } = await store.admin.query<{ minutes: number; judged: number; good: number; reached: Date }>(
    `select count(*)::int as minutes, sum(good + bad + excluded)::int as judged, sum(good)::int as good, (
       select reached from slo_cursors where pass = 'lag-minutes') as reached
     from slo_minutes where slo = 'consumer-lag'`,
  );
  const minutes = ((rows[0]?.reached.getTime() ?? 0) - hour) / MINUTE_MS;
  expect(minutes).toBeGreaterThanOrEqual(60);
  expect(rows).toMatchObject([{ minutes, judged: minutes }]);
  // One, unless the clock came to the next minute meanwhile.
  expect(rows[0]?.good).toBeOneOf([1, 2]);
});
