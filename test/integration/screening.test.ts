/** That no order goes on unseen while the risk service cannot be asked, and that this counts against us. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { httpRiskService } from '../../src/adapters/http/risk.ts';
import { postgresScreening } from '../../src/adapters/postgres/screening.ts';
import { postgresSloRecords } from '../../src/adapters/postgres/slo-records.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import type { RiskFacts, RiskService } from '../../src/domain/provider-ports.ts';
import { newPostgresStores } from '../support/postgres-stores.ts';
import { type TestSandbox, startSandbox } from '../support/sandbox.ts';
import { judgeAll, thresholds } from '../support/slo-store.ts';
import { screeningRules } from '../support/store-conformance.ts';
import { shopOf } from '../support/store-conformance/shop.ts';
import { waitFor } from '../support/wait.ts';

let stores: Awaited<ReturnType<typeof newPostgresStores>>;
let sandbox: TestSandbox;
let risk: ReturnType<typeof httpRiskService>;
beforeAll(async () => {
  [stores, sandbox] = await Promise.all([newPostgresStores(), startSandbox()]);
  risk = httpRiskService(sandbox.url);
});
afterEach(() => sandbox.clearFaults());
afterAll(async () => {
  await risk.close();
  await Promise.all([stores.stop(), sandbox.stop()]);
});

function screeningBy(service: RiskService) {
  const told: string[] = [];
  const screening = postgresScreening(stores.db, screeningRules, { service, fellBack: () => told.push('fell back') });
  return { screening, told };
}

async function newOrder(totalMinor: number, customerId?: string) {
  const shop = shopOf(stores.stores);
  const sku = await shop.sku({ main: 10 }, totalMinor);
  const { id } = await shop.accept([{ sku, quantity: 1 }], customerId === undefined ? {} : { customerId });
  return { id, screen: shop.step(id, 'screen'), view: () => shop.view(id) };
}

const unavailable = { verdict: 'review', reason: 'screening_unavailable' };

test.each([
  ['approve', 100, { verdict: 'approve' }, 'received'],
  ['review', 777, { verdict: 'review', reason: 'risk_unusual_basket' }, 'in_review'],
  ['reject', 666, { verdict: 'reject', reason: 'risk_stolen_card' }, 'received'],
])('the service says %s', async (_verdict, totalMinor, expected, status) => {
  const order = await newOrder(totalMinor);
  const { screening, told } = screeningBy(risk);
  expect(await screening.screen(order.screen)).toEqual(expected);
  expect(await order.view()).toMatchObject({ status });
  expect(told).toEqual([]);
});

test.each([
  ['is away', { kind: 'error' }],
  ['refuses the request', { kind: 'error', status: 400 }],
  ['limits our rate', { kind: 'rate_limit' }],
  ['cuts the connection', { kind: 'reset' }],
  ['never answers', { kind: 'timeout' }],
  ['answers too late', { kind: 'latency', latencyMs: 60_000 }],
  ['answers what its contract does not know', { kind: 'lie' }],
] as const)('an order waits for a review while the service %s', async (_what, fault) => {
  await sandbox.addFault({ dependency: 'risk', ...fault });
  const order = await newOrder(100);
  const { screening, told } = screeningBy(risk);
  expect(await screening.screen(order.screen)).toEqual(unavailable);
  expect(await order.view()).toMatchObject({ status: 'in_review' });
  expect(told).toEqual(['fell back']);
});

test('an order comes again where the service is well and only as many as may ask it already', async () => {
  const order = await newOrder(100);
  const full = new DomainFailure('bulkhead_full', 'risk: as many calls of the provider run as may');
  const crowd = screeningBy({ assess: () => Promise.reject(full) });
  await expect(crowd.screening.screen(order.screen)).rejects.toBe(full);
  expect(await order.view()).toMatchObject({ status: 'received' });
  expect(crowd.told).toEqual([]);
  expect(await screeningBy(risk).screening.screen(order.screen)).toEqual({ verdict: 'approve' });
});

test('the first verdict stays: once the service is back it is not asked again, and nothing is counted twice', async () => {
  await sandbox.addFault({ dependency: 'risk', kind: 'error' });
  const order = await newOrder(100);
  const { screening, told } = screeningBy(risk);
  await screening.screen(order.screen);
  expect(await screening.screen(order.screen)).toEqual(unavailable);
  expect(await sandbox.faults()).toMatchObject([{ hits: 1 }]);
  await sandbox.clearFaults();
  expect(await screening.screen(order.screen)).toEqual(unavailable);
  expect(told).toEqual(['fell back']);
});

test('two attempts at once come to one verdict and one event', async () => {
  const order = await newOrder(777);
  const { screening } = screeningBy(risk);
  const verdicts = await Promise.all([1, 2, 3].map(() => screening.screen(order.screen)));
  expect(verdicts).toEqual([1, 2, 3].map(() => ({ verdict: 'review', reason: 'risk_unusual_basket' })));
  const { timeline } = await order.view();
  expect(timeline.filter(({ type }) => type.includes('review_started'))).toHaveLength(1);
});

test('a rule of our own holds beside an approval, and gives the reason where the service is away', async () => {
  const total = screeningRules.reviewAboveMinor + 1_000 - (screeningRules.reviewAboveMinor % 1_000);
  const { screening, told } = screeningBy(risk);
  const ruled = { verdict: 'review', reason: 'total_above_limit' };
  expect(await screening.screen((await newOrder(total)).screen)).toEqual(ruled);
  await sandbox.addFault({ dependency: 'risk', kind: 'error' });
  expect(await screening.screen((await newOrder(total)).screen)).toEqual(ruled);
  expect(told).toEqual([]);
});

test('is told ids, the amount, and how many orders the customer has, and holds no order meanwhile', async () => {
  const asked: RiskFacts[] = [];
  const first = await newOrder(100, 'ada');
  const second = await newOrder(200, 'ada');
  const { screening } = screeningBy({
    async assess(_key, facts) {
      asked.push(facts);
      // Would wait for a lock that the screening held.
      await stores.db.transaction((trx) =>
        trx.selectFrom('orders').select('id').where('id', '=', facts.orderId).forUpdate().execute(),
      );
      return { verdict: 'approve' };
    },
  });
  await screening.screen(second.screen);
  await screening.screen(first.screen);
  expect(asked).toEqual([
    { orderId: second.id, amountMinor: 200, currency: 'GBP', customerOrders: 2 },
    { orderId: first.id, amountMinor: 100, currency: 'GBP', customerOrders: 1 },
  ]);
});

describe('the objective of processing', () => {
  let shared: typeof stores;
  beforeAll(async () => {
    shared = stores;
    stores = await newPostgresStores();
  });
  afterAll(async () => {
    await stores.stop();
    stores = shared;
  });

  test('counts a review by a rule or by the service as good, and one for want of screening as bad', async () => {
    const records = postgresSloRecords(stores.db);
    const soon = { ...thresholds, 'order-processing': 1_500 };
    await judgeAll(records, soon);
    const { screening } = screeningBy(risk);
    await screening.screen((await newOrder(777)).screen);
    await screening.screen((await newOrder(screeningRules.reviewAboveMinor + 1)).screen);
    await sandbox.addFault({ dependency: 'risk', kind: 'error' });
    await screening.screen((await newOrder(100)).screen);
    const counts = await waitFor('all are judged', async () => {
      await judgeAll(records, soon);
      const all = await records.totals();
      const { good, bad } = all.find(({ slo }) => slo === 'order-processing') ?? { good: 0, bad: 0 };
      return good + bad === 3 ? { good, bad } : undefined;
    });
    expect(counts).toEqual({ good: 2, bad: 1 });
  });
});
