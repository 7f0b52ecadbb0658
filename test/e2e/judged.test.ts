import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, inject, test } from 'vitest';
import { connect } from '../../src/adapters/postgres/database.ts';
import { postgresSloRecords } from '../../src/adapters/postgres/slo-records.ts';
import { runJudge } from '../../src/delivery/judge.ts';
import { freePort } from '../../src/embedded/ports.ts';
import { type Parts, startParts } from '../../src/embedded/start-parts.ts';
import { thresholds } from '../support/slo-store.ts';
import { useStack } from '../support/stack.ts';
import { waitFor } from '../support/wait.ts';

/** A Temporal that keeps its workflows on disk and comes back at the same address. */
let parts: Parts | undefined;
let start: () => Promise<Parts>;
const dataDir = await mkdtemp(join(tmpdir(), 'evenkeel-temporal-'));
const stack = useStack(async () => {
  const [port, uiPort] = [await freePort(), await freePort()];
  start = async () =>
    (parts = await startParts({
      dataDir,
      env: { ...process.env, TEMPORAL_CLI_PATH: inject('temporalCliPath') },
      report: () => undefined,
      temporal: { port, uiPort, namespace: 'default' },
    }));
  return { temporalAddress: (await start()).temporalAddress };
});

afterAll(async () => {
  await parts?.stop();
  await rm(dataDir, { recursive: true });
});

test('with Temporal away, an accepted order counts as bad in time, and not again when it is confirmed after all', async () => {
  const db = connect(stack().databaseUrl, { pool: 2 });
  const records = postgresSloRecords(db);
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const stop = new AbortController();
  // Beside the one in the API: of two, one judges.
  const done = runJudge({ records, log }, thresholds, stop.signal);
  const judged = async () => {
    const total = (await records.totals()).find(({ slo }) => slo === 'order-processing');
    return { good: total?.good, bad: total?.bad, until: total?.judgedUntil?.getTime() ?? 0 };
  };

  await parts?.stop();
  const ids = await stack().submit(5);
  await waitFor('all are judged', async () => (await judged()).bad === 5, 60_000, judged);
  const confirmed = () =>
    stack().sql<{ at: Date }>('select confirmed_at as at from orders where confirmed_at is not null');
  expect(await confirmed()).toEqual([]);
  // By the minute in which their time was over, not that of the judgement.
  const [minutes] = await stack().sql<{ same: boolean }>(`
    select array_agg(distinct date_trunc('minute', created_at + interval '500 milliseconds')) = (
      select array_agg(minute order by minute) from slo_minutes where slo = 'order-processing' and bad > 0) as same
    from orders`);
  expect(minutes).toEqual({ same: true });

  await start();
  await stack().ended(ids, 120_000);
  const last = Math.max(...(await confirmed()).map(({ at }) => at.getTime()));
  await waitFor('what came after that is judged', async () => (await judged()).until > last, 60_000, judged);
  expect(await judged()).toMatchObject({ good: 0, bad: 5 });
  stop.abort();
  await done;
  await db.destroy();
});
