import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sql } from 'kysely';
import { postgresBacklogs } from '../../src/adapters/postgres/backlogs.ts';
import { type Database, connect } from '../../src/adapters/postgres/database.ts';
import { postgresRates } from '../../src/adapters/postgres/rates.ts';
import { createRateLimits } from '../../src/resilience/rates.ts';
import { testDatabase } from '../support/postgres.ts';

let db: Database;
let drop: () => Promise<void>;

beforeAll(async () => {
  const database = await testDatabase();
  drop = database.drop;
  db = connect(database.url, { pool: 12 });
});
afterAll(async () => {
  await db.destroy();
  await drop();
});

const run = (statement: ReturnType<typeof sql>): Promise<void> =>
  db.read(async (queries) => void (await statement.execute(queries)));

describe('what a caller has left', () => {
  /** So slow that nothing is earned while the test runs. */
  const rate = { perSecond: 0.000_01, burst: 100 };

  test('is shared by all who lease at once: never more than there is, and halved until none is left', async () => {
    const rates = postgresRates(db);
    const leases = await Promise.all(Array.from({ length: 60 }, () => rates.lease('flood', 40, rate)));
    expect(leases.toSorted((a, b) => b - a).slice(0, 9)).toEqual([40, 30, 15, 8, 4, 2, 1, 0, 0]);
    expect(leases.reduce((sum, granted) => sum + granted)).toBe(100);
    expect(await rates.lease('other', 40, rate)).toBe(40);
  });

  test('is earned by the time that passes, up to the burst', async () => {
    const rates = postgresRates(db);
    const quick = { perSecond: 10, burst: 100 };
    await rates.lease('idle', 1, quick);
    await run(sql`update rates set tokens = 0, filled_at = clock_timestamp() - interval '4 s' where caller = 'idle'`);
    expect(await rates.lease('idle', 1_000, quick)).toBe(20);
    await run(sql`update rates set filled_at = clock_timestamp() - interval '1 day' where caller = 'idle'`);
    expect(await rates.lease('idle', 1_000, quick)).toBe(50);
  });

  test('is forgotten once it is all that it may have', async () => {
    const rates = postgresRates(db);
    const quick = { perSecond: 10, burst: 100 };
    await run(sql`delete from rates`);
    await rates.lease('gone', 1, quick);
    await rates.lease('here', 1, quick);
    await run(sql`update rates set filled_at = clock_timestamp() - interval '1 day' where caller = 'gone'`);
    await run(sql`update rates set filled_at = clock_timestamp() + interval '1 day' where caller = 'here'`);
    expect(await rates.prune(quick)).toBe(1);
    expect(await rates.prune(quick)).toBe(0);
  });

  test('is kept to by three processes that let requests pass as fast as they can', async () => {
    const limits = [0, 1, 2].map(() => createRateLimits({ rates: postgresRates(db) }, rate));
    const verdicts = await Promise.all(
      limits.flatMap((limit) => Array.from({ length: 200 }, () => limit.take('three'))),
    );
    const passed = verdicts.filter(({ allowed }) => allowed).length;
    expect(passed).toBeGreaterThan(0);
    expect(passed).toBeLessThanOrEqual(100);
  });
});

describe('what waits for its turn', () => {
  /** Orders by their ages in seconds. */
  async function orders(
    rows: readonly {
      readonly age: number;
      readonly started?: boolean;
      readonly begun?: boolean;
      readonly status?: string;
    }[],
  ): Promise<void> {
    await run(sql`delete from orders`);
    for (const [n, { age, started = true, begun = false, status = 'received' }] of rows.entries()) {
      const at = sql`clock_timestamp() - ${age} * interval '1 s'`;
      await run(sql`
        insert into orders (id, caller, idempotency_key, body_hash, customer_id, currency, total_minor, payment_token,
          shipping_address, status, version, created_at, updated_at, started_at)
        values (${`o-${n}`}, 'c', ${`k-${n}`}, 'h', 'ada', 'GBP', 100, 't', '{}', ${status}, ${begun ? 2 : 1},
          ${at}, ${at}, ${started ? at : null})`);
    }
  }
  const waiting = async () => {
    const { ageMs, waiting: count } = await postgresBacklogs(db).read();
    return [Math.floor(ageMs / 1_000), count];
  };

  test('is nothing where there is no order', async () => {
    await orders([]);
    expect(await waiting()).toEqual([0, 0]);
  });

  test('is what came after the last order that had its turn', async () => {
    await orders([
      { age: 50, status: 'completed', begun: true },
      { age: 40, begun: true },
      { age: 30 },
      { age: 20 },
      { age: 10 },
    ]);
    expect(await waiting()).toEqual([30, 3]);
  });

  test('is all where no worker ever was', async () => {
    await orders([{ age: 30 }, { age: 20 }]);
    expect(await waiting()).toEqual([30, 2]);
  });

  test('is no order that was overtaken: it waits for something else', async () => {
    await orders([{ age: 3_000 }, { age: 2_000 }, { age: 5, begun: true }, { age: 1 }]);
    expect(await waiting()).toEqual([1, 1]);
  });

  test('is no order that waits for a provider, for a person, or for Temporal', async () => {
    await orders([
      { age: 40, begun: true },
      { age: 30, status: 'in_review' },
      { age: 20, started: false },
    ]);
    expect(await waiting()).toEqual([0, 0]);
  });
});
