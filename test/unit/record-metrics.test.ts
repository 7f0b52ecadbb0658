import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { StoreFacts } from '../../src/domain/fact-ports.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { recordMetrics } from '../../src/telemetry/record-metrics.ts';
import { valuesOf } from '../support/metric-values.ts';
import { idle, lag, nothing, sound, total, watched } from '../support/record-sources.ts';

beforeEach(() => vi.useFakeTimers({ now: Date.parse('2026-01-01T00:00:00Z') }));
afterEach(() => vi.useRealTimers());

const start = Date.parse('2026-01-01T00:00:00Z') / 1_000;

describe('where something is away', () => {
  test('its gauges stand for thirty seconds and are gone then, and the time of its last answer stands still', async () => {
    const { answers, metrics, scrape } = watched();
    answers.facts = { ...nothing, oldestStartableMs: 5_000, lags: [lag('c1', { lagMs: 3_000 })] };
    await scrape();
    answers.facts = new Error('no PostgreSQL');
    await scrape();
    expect(await valuesOf(metrics, 'oldestStartable')).toEqual({ '': 5 });
    await scrape();
    const gone = ['oldestStartable', 'openOrders', 'consumerLag', 'storeConnections'] as const;
    for (const key of gone) expect(await valuesOf(metrics, key)).toEqual({});
    await scrape(120_000);
    expect(await valuesOf(metrics, 'factsReadAt')).toEqual({
      'source=postgres': start + 15,
      'source=violations': start + 165,
      'source=temporal': start + 165,
    });
    expect(await valuesOf(metrics, 'taskQueuePollers')).toEqual({ 'kind=activity': 1, 'kind=workflow': 1 });

    answers.facts = nothing;
    await scrape();
    expect(await valuesOf(metrics, 'oldestStartable')).toEqual({ '': 0 });
  });

  test('totals keep their last value, and up to when they are judged is not told any more', async () => {
    const { answers, metrics, scrape } = watched();
    const until = new Date('2025-12-31T23:59:00Z');
    answers.totals = [total('order-processing', 8, 2, until)];
    await scrape();
    answers.totals = new Error('no PostgreSQL');
    await scrape(40_000);
    expect(await valuesOf(metrics, 'sloGood')).toEqual({ 'slo=order-processing': 8 });
    expect(await valuesOf(metrics, 'sloJudgedUntil')).toEqual({});
  });

  test('an outage is told once, and its end once', async () => {
    const { answers, lines, scrape } = watched();
    answers.queues = new Error('no Temporal');
    await scrape();
    await scrape();
    expect(lines).toEqual(['facts of the task queue: cannot be read, tried again at each scrape']);
    answers.queues = { workflow: idle, activity: idle };
    await scrape();
    await scrape();
    expect(lines.slice(1)).toEqual(['facts of the task queue: read again']);
  });

  test('a source that hangs holds up a scrape for two seconds, and the next ones not at all', async () => {
    const { answers, metrics, reads, refresh, scrape } = watched();
    const hanging = Promise.withResolvers<StoreFacts>();
    answers.facts = hanging.promise;
    let isAnswered = false;
    void refresh().then(() => (isAnswered = true));
    await vi.advanceTimersByTimeAsync(1_900);
    expect(isAnswered).toBe(false);
    await vi.advanceTimersByTimeAsync(100);
    expect(isAnswered).toBe(true);
    expect(await valuesOf(metrics, 'taskQueuePollers')).not.toEqual({});

    await vi.advanceTimersByTimeAsync(15_000);
    const since = performance.now();
    const again = refresh();
    await vi.advanceTimersByTimeAsync(0);
    await again;
    expect([performance.now() - since, reads.facts]).toEqual([0, 1]);
    // What comes late is better than nothing.
    hanging.resolve({ ...nothing, connections: 9 });
    answers.facts = new Error('not yet');
    await scrape();
    expect(await valuesOf(metrics, 'storeConnections')).toEqual({ '': 9 });
  });

  test('a read that hangs for thirty seconds is given up for another, and shown by none', async () => {
    const { answers, metrics, refresh, reads, scrape } = watched();
    const hanging = Promise.withResolvers<StoreFacts>();
    answers.facts = hanging.promise;
    void refresh();
    await vi.advanceTimersByTimeAsync(0);
    answers.facts = nothing;
    await scrape(29_000);
    expect(reads.facts).toBe(1);
    await scrape(1_000);
    expect(reads.facts).toBe(2);
    hanging.resolve({ ...nothing, connections: 9 });
    await vi.advanceTimersByTimeAsync(0);
    expect(await valuesOf(metrics, 'storeConnections')).toEqual({ '': 7 });
  });

  test('one that throws at once is tried again all the same', async () => {
    const metrics = createMetrics(['records']);
    let reads = 0;
    const { refresh } = recordMetrics({
      facts: {
        read: () => {
          reads += 1;
          throw new Error('no pool');
        },
        violations: () => Promise.reject(new Error('no pool')),
      },
      taskQueues: { describe: () => Promise.reject(new Error('away')) },
      slo: { totals: () => Promise.resolve([]) },
      breakers: { forcedMs: () => Promise.resolve({}) },
      apiKeys: { nextExpirySeconds: () => Promise.resolve(1) },
      metrics,
      storeLimitBytes: undefined,
      log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    });
    await refresh();
    await vi.advanceTimersByTimeAsync(5_000);
    await refresh();
    expect(reads).toBe(2);
  });
});

describe('violations', () => {
  const scrapes = async (scrape: () => Promise<void>, times: number): Promise<void> => {
    for (let n = 0; n < times; n += 1) await scrape();
  };

  test('that cannot be counted take nothing else away, and are looked for once a minute all the same', async () => {
    const { answers, metrics, reads, scrape } = watched();
    answers.violations = new Error('too slow');
    answers.facts = { ...nothing, oldestStartableMs: 5_000 };
    await scrapes(scrape, 8);
    expect(await valuesOf(metrics, 'oldestStartable')).toEqual({ '': 5 });
    expect(await valuesOf(metrics, 'factsReadAt')).not.toHaveProperty('source=violations');
    expect([reads.facts, reads.violations]).toEqual([8, 2]);
    answers.violations = { ...sound, lost_order: 1 };
    await scrape();
    expect(await valuesOf(metrics, 'violations')).toMatchObject({ 'kind=lost_order': 1, 'kind=overcharge': 0 });
    expect(await valuesOf(metrics, 'factsReadAt')).toHaveProperty('source=violations', start + 135);
  });

  test('stand while one look fails, and are gone once two did', async () => {
    const { answers, metrics, scrape } = watched();
    await scrape();
    answers.violations = new Error('too slow');
    await scrapes(scrape, 9);
    expect(Object.keys(await valuesOf(metrics, 'violations'))).toHaveLength(6);
    await scrape();
    expect(await valuesOf(metrics, 'violations')).toEqual({});
  });
});

test('however many scrape, the sources are asked once a second', async () => {
  const { reads, refresh } = watched();
  await Promise.all([refresh(), refresh()]);
  await vi.advanceTimersByTimeAsync(999);
  await refresh();
  expect(reads.facts).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  await refresh();
  expect(reads.facts).toBe(2);
});

test('every status, step, kind and state is shown, zeros too', async () => {
  const { answers, metrics, scrape } = watched();
  answers.facts = {
    ...nothing,
    openOrders: { confirmed: 3 },
    openAttentions: { void: 2 },
    failedCompensations: 2,
    deadLetters: { timeout: 2, http_500: 3 },
  };
  await scrape();
  answers.facts = { ...nothing, openOrders: { received: 1 } };
  await scrape();
  expect(await valuesOf(metrics, 'openOrders')).toMatchObject({ 'status=received': 1, 'status=confirmed': 0 });
  expect(Object.values(await valuesOf(metrics, 'openAttentions'))).toEqual(Array.from({ length: 21 }, () => 0));
  expect(Object.keys(await valuesOf(metrics, 'violations'))).toHaveLength(6);
  expect(await valuesOf(metrics, 'deadLetters')).toEqual({ '': 0 });
  expect(await valuesOf(metrics, 'consumers')).toEqual({
    'state=enabled': 0,
    'state=paused': 0,
    'state=disabled': 0,
    'state=in_trouble': 0,
  });
});

test('units are seconds and bytes, and a limit that nobody set is 0', async () => {
  const { answers, metrics, scrape } = watched();
  answers.facts = { ...nothing, oldestUnknownPaymentMs: 1_500, deadLetters: { timeout: 2, http_500: 3 } };
  answers.queues = { workflow: { backlog: 4, backlogAgeMs: 2_500, pollers: 0 }, activity: idle };
  await scrape();
  expect(await valuesOf(metrics, 'oldestUnknownPayment')).toEqual({ '': 1.5 });
  expect(await valuesOf(metrics, 'deadLetters')).toEqual({ '': 5 });
  expect(await valuesOf(metrics, 'taskQueueBacklogAge')).toEqual({ 'kind=workflow': 2.5, 'kind=activity': 0 });
  expect(await valuesOf(metrics, 'storeBytesMax')).toEqual({ '': 0 });
  const limited = watched(2 ** 30);
  await limited.scrape();
  expect(await valuesOf(limited.metrics, 'storeBytesMax')).toEqual({ '': 2 ** 30 });
});

test('events are the good and the bad ones, and judged is what all objectives are', async () => {
  const { answers, metrics, scrape } = watched();
  const [early, late] = [new Date('2025-12-31T23:58:00Z'), new Date('2025-12-31T23:59:00Z')];
  answers.totals = [
    total('order-processing', 8, 2, late),
    total('delivery-dispatch', 5, 0, early),
    total('api-availability', 1, 1),
  ];
  await scrape();
  expect(await valuesOf(metrics, 'sloEvents')).toEqual({
    'slo=order-processing': 10,
    'slo=delivery-dispatch': 5,
    'slo=api-availability': 2,
  });
  expect(await valuesOf(metrics, 'sloExcluded')).toMatchObject({ 'slo=order-processing': 1 });
  expect(await valuesOf(metrics, 'sloJudgedUntil')).toEqual({ '': early.getTime() / 1_000 });
});

describe('of consumers', () => {
  const fifty = Array.from({ length: 50 }, (_, index) =>
    lag(`c${String(index).padStart(2, '0')}`, { lagMs: index * 1_000, pending: index, mode: 'probing' }),
  );

  test('the worst twenty are shown by name, and the others as one', async () => {
    const { answers, metrics, scrape } = watched();
    answers.facts = { ...nothing, lags: fifty };
    await scrape();
    const lags = await valuesOf(metrics, 'consumerLag');
    expect(Object.keys(lags)).toHaveLength(21);
    expect(lags).toMatchObject({ 'consumer=c49': 49, 'consumer=c30': 30, 'consumer=other': 29 });
    const pending = await valuesOf(metrics, 'consumerPending');
    expect(Object.keys(pending).toSorted()).toEqual(Object.keys(lags).toSorted());
    expect(pending['consumer=other']).toBe((29 * 30) / 2);
    expect(await valuesOf(metrics, 'consumers')).toMatchObject({ 'state=in_trouble': 50, 'state=enabled': 0 });
  });

  test('whoever is not among the worst any more disappears, and makes room', async () => {
    const { answers, metrics, scrape } = watched();
    answers.facts = { ...nothing, lags: fifty };
    await scrape();
    answers.facts = { ...nothing, lags: fifty.map((was, index) => ({ ...was, lagMs: (49 - index) * 1_000 })) };
    await scrape();
    const lags = await valuesOf(metrics, 'consumerLag');
    expect(Object.keys(lags)).toHaveLength(21);
    expect(lags).toMatchObject({ 'consumer=c00': 49, 'consumer=other': 29 });
    expect(lags).not.toHaveProperty('consumer=c49');
    answers.facts = { ...nothing, lags: [] };
    await scrape();
    expect(await valuesOf(metrics, 'consumerLag')).toEqual({});
  });

  test('nothing ages that is held for one that is paused or disabled, and all that waits counts', async () => {
    const { answers, metrics, scrape } = watched();
    answers.facts = {
      ...nothing,
      lags: [
        lag('paused', { state: 'paused', lagMs: 9_000, pending: 3 }),
        lag('disabled', { state: 'disabled', mode: 'probing', lagMs: 9_000, pending: 4 }),
        lag('enabled', { lagMs: 1_000, pending: 1 }),
      ],
    };
    await scrape();
    expect(await valuesOf(metrics, 'consumerLag')).toEqual({ 'consumer=enabled': 1 });
    expect(await valuesOf(metrics, 'consumerPending')).toEqual({
      'consumer=paused': 3,
      'consumer=disabled': 4,
      'consumer=enabled': 1,
    });
    expect(await valuesOf(metrics, 'consumers')).toEqual({
      'state=enabled': 1,
      'state=paused': 1,
      'state=disabled': 1,
      'state=in_trouble': 0,
    });
  });
});
