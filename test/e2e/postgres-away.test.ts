import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { migrate } from '../../src/adapters/postgres/migrate.ts';
import { type Parts, startParts } from '../../src/embedded/start-parts.ts';
import { audit, stockOf } from '../support/audit.ts';
import { newKey, newOrder, useStack } from '../support/stack.ts';
import { waitFor } from '../support/wait.ts';

/** A PostgreSQL of this file's own, that comes back at the same address. */
let parts: Parts | undefined;
const folder = await mkdtemp(join(tmpdir(), 'evenkeel-postgres-'));
// As root, PostgreSQL runs as somebody else, who must pass through.
await chmod(folder, 0o711);
const start = async (): Promise<Parts> =>
  (parts = await startParts({
    dataDir: join(folder, 'data'),
    env: process.env,
    report: () => undefined,
    postgres: { database: 'shop' },
  }));
const stack = useStack(async () => {
  const { databaseUrl = '' } = await start();
  await migrate(databaseUrl);
  return { databaseUrl };
});

afterAll(async () => {
  await parts?.stop();
  await rm(folder, { recursive: true });
});

test('with PostgreSQL away, orders are refused with the advice to come back, and what was accepted ends', async () => {
  const submitting = stack().submit(60);
  await waitFor('the load is on', async () => (await stack().sandbox.ledger({ kind: 'capture' })).length >= 5);
  await parts?.stop();

  const refused = await stack().request('POST', '/v1/orders', newOrder(), { 'idempotency-key': newKey() });
  expect(refused.status).toBe(503);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(refused.json).toMatchObject({ code: 'store_unavailable' });
  expect((await stack().request('GET', '/livez')).status).toBe(200);
  expect((await stack().request('GET', '/readyz')).json).toMatchObject({ code: 'not_ready' });
  expect(await stack().readiness()).toMatchObject({
    status: 'not_ready',
    checks: expect.arrayContaining([
      expect.objectContaining({ name: 'postgres', ready: false }),
      expect.objectContaining({ name: 'temporal', ready: true }),
    ]) as unknown,
  });

  await start();
  const orders = await stack().ended(await submitting, 120_000);
  expect(orders).toHaveLength(60);
  expect(new Set(orders.map(({ status }) => status))).toEqual(new Set(['completed']));
  expect(await audit(stack(), orders)).toEqual([]);
  expect(await stockOf(stack(), 'LANTERN')).toEqual({ onHand: 10_000 - 120, reserved: 0 });
});
