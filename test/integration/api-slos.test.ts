import { runContext } from '../unit/api-access-fakes.ts';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { z } from 'zod';
import { sloList } from '../../src/api/slo-schemas.ts';
import { sloRoutes } from '../../src/api/slos.ts';
import { connect, type Database } from '../../src/adapters/postgres/database.ts';
import { postgresSloHistory } from '../../src/adapters/postgres/slo-history.ts';
import { postgresSloRecords } from '../../src/adapters/postgres/slo-records.ts';
import { loadObjectives } from '../../src/slo/files.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';

let database: TestDatabase;
let db: Database;
beforeAll(async () => {
  database = await testDatabase();
  db = connect(database.url, { pool: 2 });
  await db.read((queries) =>
    sql`insert into slo_minutes (slo, minute, good, bad, excluded)
      select 'order-processing', date_trunc('minute', now() - ago::interval), good, bad, 1
      from (values ('0', 90, 1), ('20 min', 500, 2), ('4 h', 400, 0), ('20 d', 9000, 7), ('31 d', 5, 1000))
        as v (ago, good, bad)`.execute(queries),
  );
});
afterAll(async () => {
  await db.destroy();
  await database.drop();
});

test('the API says of each window what the minutes within it add up to', async () => {
  const { objectives, sla } = await loadObjectives();
  const routes = sloRoutes({ slo: postgresSloRecords(db), sloHistory: postgresSloHistory(db), objectives, sla });
  const list = routes.find(({ operationId }) => operationId === 'listSlos');
  const answer = await list?.run({ path: {}, query: {}, headers: {}, body: Buffer.alloc(0) }, runContext());
  const { data } = sloList.parse(answer?.json) satisfies z.output<typeof sloList>;
  const [processing, decision] = data;
  expect(processing?.windows.map(({ window, good, bad, excluded }) => [window, good, bad, excluded])).toEqual([
    ['5m', 90, 1, 1],
    ['30m', 590, 3, 2],
    ['1h', 590, 3, 2],
    ['2h', 590, 3, 2],
    ['6h', 990, 3, 3],
    ['1d', 990, 3, 3],
    ['3d', 990, 3, 3],
    ['30d', 9_990, 10, 4],
  ]);
  expect(processing).toMatchObject({
    sli: 0.999,
    budget: { allowedEvents: 10, badEvents: 10, leftEvents: 0, leftShare: 0 },
    exhaustion: { state: 'exhausted' },
    judgedUntil: expect.stringMatching(/Z$/) as unknown,
  });
  expect(decision).toMatchObject({ sli: null, reason: 'not_enough_data' });
});
