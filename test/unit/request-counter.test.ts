import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createRequestCounter } from '../../src/delivery/request-counter.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import type { CountedMinute, SloRecords } from '../../src/domain/slo-ports.ts';
import type { Log } from '../../src/telemetry/log.ts';

const noon = new Date('2026-03-01T12:00:00.000Z');
const minute = (n: number) => new Date(noon.getTime() + n * 60_000);
beforeEach(() => vi.useFakeTimers({ now: noon }));
afterEach(() => vi.useRealTimers());

function counter() {
  const store = { isAway: false, minutes: [] as CountedMinute[] };
  const addRequests = vi.fn<SloRecords['addRequests']>((minutes) => {
    if (store.isAway) return Promise.reject(new DomainFailure('store_unavailable', 'away'));
    store.minutes.push(...minutes);
    return Promise.resolve();
  });
  const log = { info: vi.fn<Log['info']>(), warn: vi.fn<Log['warn']>(), error: vi.fn<Log['error']>() };
  const made = createRequestCounter({ addRequests }, log);
  const stop = new AbortController();
  const done = made.run(stop.signal);
  const count = (status: number | null, route = '/v1/orders') =>
    made.count({ method: 'POST', route, status, durationMs: 3 });
  return { store, addRequests, log, stop, done, count };
}

describe('while the store is away', () => {
  test('what is counted is kept by its minute, and written once the store is back: each request once', async () => {
    const { store, count, stop, done, log } = counter();
    store.isAway = true;
    count(503);
    count(202);
    await vi.advanceTimersByTimeAsync(60_000);
    count(503);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(store.minutes).toEqual([]);
    store.isAway = false;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(store.minutes).toEqual([
      { minute: minute(0), good: 1, bad: 1 },
      { minute: minute(1), good: 0, bad: 1 },
    ]);
    expect([log.warn.mock.calls.length, log.info.mock.calls.length]).toEqual([1, 1]);
    stop.abort();
    await done;
  });

  test('what comes in during a write that fails is added to it', async () => {
    const { addRequests, store, count, stop, done } = counter();
    const { promise, reject } = Promise.withResolvers<undefined>();
    addRequests.mockImplementationOnce(() => promise);
    count(202);
    await vi.advanceTimersByTimeAsync(2_000);
    count(202);
    reject(new DomainFailure('store_unavailable', 'away'));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(store.minutes).toEqual([{ minute: minute(0), good: 2, bad: 0 }]);
    stop.abort();
    await done;
  });

  test('the last day is kept and what is older is given up, which is said', async () => {
    const { store, count, stop, done, log } = counter();
    store.isAway = true;
    for (let n = 0; n < 1_500; n += 1) {
      vi.setSystemTime(minute(n));
      count(200);
    }
    await vi.advanceTimersByTimeAsync(4_000);
    expect(log.warn).toHaveBeenCalledWith({ minutes: 60 }, expect.stringContaining('more than a day ago'));
    store.isAway = false;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(store.minutes).toHaveLength(1_440);
    expect(store.minutes.map(({ minute: at }) => at.getTime())).not.toContain(minute(59).getTime());
    stop.abort();
    await done;
  });

  test('a process that ends says what it could not write', async () => {
    const { store, count, stop, done, log } = counter();
    store.isAway = true;
    count(200);
    count(500);
    stop.abort();
    await done;
    expect(log.warn).toHaveBeenCalledWith({ requests: 2 }, expect.any(String));
  });
});

test('5xx is bad and all else is good; one whose caller left counts for nothing', async () => {
  const { store, count, stop, done } = counter();
  for (const status of [200, 202, 303, 404, 409, 422, 429, 500, 503, 599, null]) count(status);
  stop.abort();
  await done;
  expect(store.minutes).toEqual([{ minute: minute(0), good: 7, bad: 3 }]);
});

test("callbacks are the API's, probes, metrics, documents and unknown paths are not", async () => {
  const { store, count, stop, done } = counter();
  for (const route of ['/v1/callbacks/carrier', '/v1/orders/{id}', '/livez', '/readyz', '/metrics', '/openapi.json']) {
    count(200, route);
  }
  count(503, '(none)');
  count(500, '/v12/orders');
  stop.abort();
  await done;
  expect(store.minutes).toEqual([{ minute: minute(0), good: 2, bad: 0 }]);
});

test('all of two seconds goes in one write, and nothing is written where nothing was asked', async () => {
  const { addRequests, count, stop, done } = counter();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(addRequests).not.toHaveBeenCalled();
  count(200);
  count(200);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(addRequests.mock.calls).toEqual([[[{ minute: minute(0), good: 2, bad: 0 }]]]);
  stop.abort();
  await done;
});

test('the rest is written at the end, at once', async () => {
  const { store, count, stop, done } = counter();
  await vi.advanceTimersByTimeAsync(100);
  count(200);
  stop.abort();
  await done;
  expect(store.minutes).toEqual([{ minute: minute(0), good: 1, bad: 0 }]);
});
