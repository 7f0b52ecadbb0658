import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect, type Database } from '../../src/adapters/postgres/database.ts';
import { postgresSloHistory } from '../../src/adapters/postgres/slo-history.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;
beforeAll(async () => {
  database = await testDatabase();
  db = connect(database.url, { pool: 1 });
  await db.read((queries) =>
    sql`insert into slo_minutes (slo, minute, good, bad, excluded) values
      ('order-processing', '2026-09-30T23:59:00Z', 100, 0, 0),
      ('order-processing', '2026-10-01T00:00:00Z', 1, 2, 3),
      ('order-processing', '2026-10-01T23:59:00Z', 10, 20, 30),
      ('order-processing', '2026-10-31T23:59:00Z', 5, 0, 0),
      ('order-processing', '2026-11-01T00:00:00Z', 100, 0, 0),
      ('consumer-lag', '2026-10-02T12:00:00Z', 0, 0, 0),
      ('human-decision', '2026-10-02T12:00:00Z', 0, 0, 4)`.execute(queries),
  );
});
afterAll(async () => {
  await db.destroy();
  await database.drop();
});

test('the days of a month are those of UTC, wherever the database thinks that it is', async () => {
  const days = [
    { slo: 'order-processing', day: '2026-10-01', good: 11, bad: 22, excluded: 33 },
    { slo: 'human-decision', day: '2026-10-02', good: 0, bad: 0, excluded: 4 },
    { slo: 'order-processing', day: '2026-10-31', good: 5, bad: 0, excluded: 0 },
  ];
  for (const zone of ['UTC', 'Pacific/Auckland', 'America/Los_Angeles']) {
    await db.read((queries) => sql`select set_config('TimeZone', ${zone}, false)`.execute(queries));
    expect([zone, (await postgresSloHistory(db).month('2026-10')).days]).toEqual([zone, days]);
  }
});

test('a month without events has no days', async () => {
  expect((await postgresSloHistory(db).month('2026-12')).days).toEqual([]);
});

test('a month is whole as long as none of its minutes is removed, and not a minute longer', async () => {
  const { rows } = await db.read((queries) =>
    sql<{ month: string; isWhole: boolean }>`
      select to_char(first, 'YYYY-MM') as month, first at time zone 'UTC' >= now() - interval '400 days' as "isWhole"
      from generate_series(
        date_trunc('month', now() at time zone 'UTC') - interval '15 months',
        date_trunc('month', now() at time zone 'UTC'), interval '1 month'
      ) as first`.execute(queries),
  );
  expect(new Set(rows.map(({ isWhole }) => isWhole)).size).toBe(2);
  for (const { month, isWhole } of rows) {
    expect([month, (await postgresSloHistory(db).month(month)).isWhole]).toEqual([month, isWhole]);
  }
});
