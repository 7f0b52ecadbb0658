import { randomUUID } from 'node:crypto';
import { writeFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Database, connect } from '../../src/adapters/postgres/database.ts';
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts';
import { processMetrics } from '../../src/telemetry/process-metrics.ts';
import { storeMetrics } from '../../src/telemetry/store-metrics.ts';
import { countsOf, valuesOf } from '../support/metric-values.ts';
import { postgresStores } from '../support/postgres-stores.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { shopOf } from '../support/store-conformance/shop.ts';

let database: TestDatabase;
let db: Database;
let metrics: Metrics;
let shop: ReturnType<typeof shopOf>;

beforeAll(async () => {
  database = await testDatabase();
});
afterAll(async () => {
  await database.drop();
});
beforeEach(async () => {
  metrics = createMetrics(['process']);
  db = connect(database.url, { pool: 4, observer: storeMetrics(metrics) });
  shop = shopOf(postgresStores(db));
  return () => db.destroy();
});

async function rowsOf(table: 'events' | 'orders', where = sql`true`): Promise<number> {
  const { rows } = await db.read((queries) =>
    sql<{ count: number }>`select count(*) as count from ${sql.table(table)} where ${where}`.execute(queries),
  );
  return rows[0]?.count ?? 0;
}

const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((a, b) => a + b, 0);

describe('what the store committed', () => {
  test('is counted as often as there are rows, whatever was refused or repeated', async () => {
    const [eventsBefore, ordersBefore] = [await rowsOf('events'), await rowsOf('orders')];
    const { accept } = postgresStores(db).intake;
    const sku = await shop.sku();
    const items = [{ sku, quantity: 1 }];
    const { orderId } = await shop.confirmed(items);
    const { orders } = postgresStores(db);

    // The same once more: a repeated step, a repeated request, and one that is refused.
    await orders.confirm(shop.step(orderId, 'confirm'));
    const idempotency = { caller: 'default', key: randomUUID(), bodyHash: 'hash' };
    const order = shop.newOrder(items);
    await Promise.all([
      accept(order, idempotency, undefined),
      accept(order, idempotency, undefined).catch(() => undefined),
    ]);
    await accept(order, idempotency, undefined);
    await expect(
      accept(shop.newOrder([{ sku: 'none', quantity: 1 }]), { ...idempotency, key: 'k' }, undefined),
    ).rejects.toThrow('cannot be ordered');
    await orders.finish({ ...shop.step(orderId, 'finish'), status: 'cancelled', reason: null });
    await orders.finish({ ...shop.step(orderId, 'finish'), status: 'cancelled', reason: null });

    expect(await valuesOf(metrics, 'ordersAccepted')).toEqual({ '': (await rowsOf('orders')) - ordersBefore });
    expect(sum(await countsOf(metrics, 'eventsPublished'))).toBe((await rowsOf('events')) - eventsBefore);
    expect(await countsOf(metrics, 'ordersFinished')).toEqual({ 'outcome=cancelled': 1 });
    expect(await valuesOf(metrics, 'orderSeconds')).toEqual({ '': 1 });
  });
});

describe('statements', () => {
  test('that fail are counted as failed, and those of the store are timed', async () => {
    await expect(db.read((queries) => sql`select 1 / 0`.execute(queries))).rejects.toThrow('division by zero');
    await db.ping();
    const counts = await countsOf(metrics, 'storeStatements');
    expect(counts['outcome=failed']).toBe(1);
    expect(await valuesOf(metrics, 'storeSeconds')).toEqual({ '': sum(counts) });
  });
});

describe('what the process uses', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'evenkeel-network-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const header = 'Inter-|   Receive        |  Transmit\n face |bytes    packets errs|bytes    packets errs\n';
  const line = (name: string, received: number, sent: number): string =>
    `${name}: ${received} 1 0 0 0 0 0 0 ${sent} 1 0 0 0 0 0 0\n`;

  test('is read at each scrape: connections that are taken, and who waits for one', async () => {
    processMetrics(metrics, { version: '1.2.3', pool: () => db.pool() });
    const release = Promise.withResolvers<void>();
    const held = Array.from({ length: 4 }, () => db.transaction(() => release.promise));
    const waiting = db.ping();
    await expect
      .poll(async () => {
        await metrics.collect();
        return valuesOf(metrics, 'storePool');
      })
      .toEqual({ 'state=total': 4, 'state=idle': 0, 'state=waiting': 1 });
    release.resolve();
    await Promise.all([...held, waiting]);
    await metrics.collect();
    expect(await valuesOf(metrics, 'storePool')).toMatchObject({ 'state=waiting': 0 });
    expect(await valuesOf(metrics, 'buildInfo')).toEqual({ [`node=${process.versions.node},version=1.2.3`]: 1 });
    expect(await metrics.registry.metrics()).toMatch(/^process_cpu_seconds_total \d/m);
  });

  test('its traffic never falls, though an interface goes and comes again', async () => {
    const networkFile = join(folder, 'dev');
    processMetrics(metrics, { version: '1.2.3', pool: () => db.pool(), networkFile });
    const after = async (text: string): Promise<Record<string, number>> => {
      await writeFile(networkFile, text);
      await metrics.collect();
      return valuesOf(metrics, 'networkBytes');
    };
    const both = header + line('    lo', 100, 100) + line('  eth0', 1_000, 2_000);
    expect(await after(both)).toEqual({ 'direction=received': 1_100, 'direction=sent': 2_100 });
    expect(await after(header + line('    lo', 150, 150))).toEqual({
      'direction=received': 1_150,
      'direction=sent': 2_150,
    });
    expect(await after(header + line('    lo', 150, 150) + line('  eth0', 10, 20))).toEqual({
      'direction=received': 1_160,
      'direction=sent': 2_170,
    });
  });

  test('its traffic is not shown where the system does not tell', async () => {
    processMetrics(metrics, { version: '1.2.3', pool: () => db.pool(), networkFile: join(folder, 'none') });
    await metrics.collect();
    expect(await valuesOf(metrics, 'networkBytes')).toEqual({});
  });
});
