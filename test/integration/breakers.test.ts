import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { httpPaymentGateway } from '../../src/adapters/http/payment-gateway.ts';
import { postgresAuditLog } from '../../src/adapters/postgres/audit-log.ts';
import { postgresBreakers } from '../../src/adapters/postgres/breakers.ts';
import { type Database, connect } from '../../src/adapters/postgres/database.ts';
import type { BreakerStore, ForcedState } from '../../src/domain/breakers.ts';
import type { DomainFailure } from '../../src/domain/failures.ts';
import { runBreakerSync } from '../../src/resilience/breaker-sync.ts';
import { createBreakers } from '../../src/resilience/breakers.ts';
import { guardedGateway } from '../../src/resilience/provider.ts';
import { breakerMetrics } from '../../src/telemetry/breaker-metrics.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { countsOf } from '../support/metric-values.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { newKey } from '../support/provider-conformance.ts';
import { startSandbox } from '../support/sandbox.ts';
import { waitFor } from '../support/wait.ts';

let database: TestDatabase;
let db: Database;
let store: BreakerStore;

beforeAll(async () => {
  database = await testDatabase();
});
afterAll(async () => {
  await database.drop();
});
beforeEach(async () => {
  db = connect(database.url, { pool: 4 });
  store = postgresBreakers(db);
  await db.read((queries) => sql`truncate breaker_reports, breaker_transitions, breaker_forcings`.execute(queries));
  return () => db.destroy();
});

const silent = createLogger('silent');
const attempt = () => ({ signal: AbortSignal.timeout(10_000) });

function registry(worker: string, now = () => performance.now()) {
  const metrics = createMetrics(['process']);
  const breakers = createBreakers({ worker, concurrency: 8, observer: breakerMetrics(metrics, silent), now });
  const call = (work: () => Promise<unknown> = () => Promise.resolve('asked')) =>
    breakers
      .guard('carrier')
      .run('do', attempt(), work)
      .catch((error: { code?: string }) => error.code ?? error);
  return { breakers, metrics, call };
}

async function force(state: ForcedState, reason = 'they asked us to'): Promise<void> {
  const subject = '/v1/breakers/carrier';
  const entry = { actor: 'key:1', roles: [], action: 'forceBreaker', subject, reason, traceId: null };
  const auditId = await postgresAuditLog(db).write({ ...entry, outcome: 'allowed' });
  await store.force('carrier', { state, reason, actor: 'ada', auditId });
}

const carrier = async () => (await store.list()).find(({ name }) => name === 'carrier');

describe('the fleet', () => {
  test('of two processes does as an operator wants, each within a sync, and both tell that they do', async () => {
    const [one, two] = [registry('one:1'), registry('two:2')];
    const both = () => Promise.all([one, two].map(({ breakers }) => breakers.sync(store)));
    await both();
    await force('open');
    await both();
    expect([await one.call(), await two.call()]).toEqual(['breaker_open', 'breaker_open']);
    expect(await carrier()).toMatchObject({
      forced: { state: 'open', actor: 'ada', reason: 'they asked us to', at: expect.any(String) },
      workers: [
        { worker: 'one:1', state: 'forced-open' },
        { worker: 'two:2', state: 'forced-open' },
      ],
      transitions: [
        { from: 'closed', to: 'forced-open', cause: 'ada: they asked us to' },
        { from: 'closed', to: 'forced-open' },
      ],
    });

    await force('closed');
    await both();
    expect([await one.call(), await two.call()]).toEqual(['asked', 'asked']);
    await force('auto', 'over');
    await both();
    expect(await carrier()).toMatchObject({
      forced: { state: 'auto', actor: null, reason: null, at: null },
      workers: [{ state: 'closed' }, { state: 'closed' }],
    });
  });

  test('hears of it by itself, and ends at once when it is told to', async () => {
    const { breakers, call } = registry('three:3');
    const stop = new AbortController();
    const outage = { failed: (error: unknown) => expect.fail(String(error)), worked: () => undefined };
    const running = runBreakerSync(breakers, store, outage, stop.signal);
    await force('open');
    await waitFor('the forced state is heard', async () => (await call()) === 'breaker_open', 10_000);
    await force('auto');
    await waitFor('it is heard that it is over', async () => (await call()) === 'asked', 10_000);
    stop.abort();
    await running;
  });

  test('decides by itself where the store is away, and says so', async () => {
    const gone = connect('postgres://127.0.0.1:1/nothing', { pool: 1 });
    const { breakers, call } = registry('four:4');
    await expect(breakers.sync(postgresBreakers(gone))).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(await call()).toBe('asked');
    await gone.destroy();
  });

  test('forgets a process that has told nothing for a minute, and all but the newest transitions', async () => {
    const told = { name: 'risk', state: 'open', sinceMsAgo: 90_000, calls: 0, failures: 0 } as const;
    const change = { name: 'risk', from: 'closed', to: 'open', msAgo: 90_000 } as const;
    const changes = Array.from({ length: 1_100 }, (_, at) => ({ ...change, cause: `the ${at}th \u0000` }));
    await store.report('gone:1', [told], changes);
    const risk = async () => (await store.list()).find(({ name }) => name === 'risk');
    const seen = await risk();
    expect(seen?.workers).toMatchObject([{ worker: 'gone:1', state: 'open' }]);
    expect(seen?.transitions).toHaveLength(20);
    expect(seen?.transitions[0]?.cause).toBe('the 1099th ');
    const [{ since, toldAt } = { since: '', toldAt: '' }] = seen?.workers ?? [];
    expect(Math.round((Date.parse(toldAt) - Date.parse(since)) / 1_000)).toBe(90);

    await db.read((queries) =>
      sql`update breaker_reports set told_at = told_at - interval '1 minute'`.execute(queries),
    );
    expect((await risk())?.workers).toEqual([]);
    await store.report('here:1', [], []);
    const { rows } = await db.read((queries) =>
      sql<{ reports: number; transitions: number }>`
        select (select count(*) from breaker_reports where worker = 'gone:1') as reports,
          (select count(*) from breaker_transitions where name = 'risk') as transitions`.execute(queries),
    );
    expect(rows).toEqual([{ reports: 0, transitions: 1_000 }]);
  });

  test('knows how long a breaker has been forced', async () => {
    await force('open');
    await db.read((queries) => sql`update breaker_forcings set at = at - interval '25 hours'`.execute(queries));
    expect(Math.floor(((await store.forcedMs()).carrier ?? 0) / 3_600_000)).toBe(25);
    await force('auto');
    expect(await store.forcedMs()).toEqual({});
  });
});

test('a gateway that fails is asked no more, is probed when its time has come, and is asked again once it is well', async () => {
  const sandbox = await startSandbox();
  const clock = { now: 0 };
  const { breakers, metrics } = registry('five:5', () => clock.now);
  const gateway = guardedGateway(httpPaymentGateway(sandbox.url), breakers.guard('payment'));
  const authorize = async (orderId: string): Promise<string> => {
    const request = { orderId, amountMinor: 100, currency: 'GBP', token: 'tok_visa' };
    try {
      return (await gateway.authorize(newKey('authorize'), request, attempt())).outcome;
    } catch (error) {
      return (error as DomainFailure).code;
    }
  };
  const several = async (orderId: string, times: number): Promise<string[]> => {
    const ends: string[] = [];
    for (let time = 0; time < times; time += 1) ends.push(await authorize(orderId));
    return ends;
  };
  const state = async () => {
    await breakers.sync(store);
    const payment = (await store.list()).find(({ name }) => name === 'payment');
    return payment?.workers.find(({ worker }) => worker === 'five:5')?.state;
  };
  const hits = async () => (await sandbox.faults())[0]?.hits;
  try {
    await sandbox.addFault({ dependency: 'payments', kind: 'error', status: 503 });
    expect(await several('away', 12)).toEqual([
      ...Array.from({ length: 10 }, () => 'provider_unavailable'),
      'breaker_open',
      'breaker_open',
    ]);
    expect([await state(), await hits()]).toEqual(['open', 10]);

    clock.now += 5_000;
    expect(await state()).toBe('half-open');
    expect(await several('away', 2)).toEqual(['provider_unavailable', 'breaker_open']);
    clock.now += 5_000;
    expect(await several('away', 2)).toEqual(['breaker_open', 'breaker_open']);
    expect([await state(), await hits()]).toEqual(['open', 11]);

    await sandbox.clearFaults();
    clock.now += 5_000;
    expect(await several('well', 3)).toEqual(['authorized', 'authorized', 'authorized']);
    expect(await state()).toBe('closed');
    expect(await sandbox.ledger({ orderId: 'away' })).toEqual([]);
    expect(await countsOf(metrics, 'breakerTransitions')).toEqual({
      'breaker=payment,state=open': 2,
      'breaker=payment,state=half-open': 2,
      'breaker=payment,state=closed': 1,
    });
    expect(await countsOf(metrics, 'callsRefused')).toEqual({ 'breaker=payment,by=breaker': 5 });
  } finally {
    await gateway.close();
    await sandbox.stop();
  }
});
