import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { runJudge } from '../../src/delivery/judge.ts';
import type { Thresholds } from '../../src/domain/objectives.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import type { JudgedRound, SloRecords } from '../../src/domain/slo-ports.ts';
import type { Log } from '../../src/telemetry/log.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const thresholds: Thresholds = {
  'order-processing': 1,
  'human-decision': 2,
  'delivery-dispatch': 3,
  'delivery-platform': 4,
  'delivery-end-to-end': 5,
  'consumer-lag': 6,
};
const none = { good: 0, bad: 0, excluded: 0 };
const judged: JudgedRound['judged'] = {
  'order-processing': none,
  'human-decision': none,
  'delivery-dispatch': none,
  'delivery-platform': none,
  'delivery-end-to-end': none,
  'consumer-lag': none,
};
const round = (more: boolean): JudgedRound => ({ judged, more });

/** A judge whose rounds come to `answers`, one after the other, and to nothing due after that. */
function running(answers: readonly (() => Promise<JudgedRound | undefined>)[] = []) {
  const left = [...answers];
  const judge = vi.fn<SloRecords['judge']>(() => (left.shift() ?? (() => Promise.resolve(round(false))))());
  const [info, warn] = [vi.fn<Log['info']>(), vi.fn<Log['warn']>()];
  const stop = new AbortController();
  const done = runJudge(
    { records: { judge }, log: { info, warn, error: vi.fn<Log['error']>() } },
    thresholds,
    stop.signal,
  );
  return { judge, info, warn, stop, done };
}

const away = () => Promise.reject(new DomainFailure('store_unavailable', 'away'));

test('what is away is tried again until it works, with one line at the beginning and one at the end', async () => {
  const { judge, info, warn, stop, done } = running([away, away, away]);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(judge.mock.calls.length).toBeGreaterThan(3);
  expect([warn.mock.calls.length, info.mock.calls.length]).toEqual([1, 1]);
  stop.abort();
  await done;
});

test('it judges each second by the thresholds, whether or not another process does so just now', async () => {
  const { judge, stop, done } = running([() => Promise.resolve(undefined)]);
  await vi.advanceTimersByTimeAsync(2_999);
  expect(judge.mock.calls).toEqual([[thresholds], [thresholds], [thresholds]]);
  stop.abort();
  await done;
});

test('while there is more it goes on at once', async () => {
  const { judge, stop, done } = running([() => Promise.resolve(round(true)), () => Promise.resolve(round(true))]);
  await vi.advanceTimersByTimeAsync(0);
  expect(judge).toHaveBeenCalledTimes(3);
  stop.abort();
  await done;
});

test('it stops at once between two rounds, and after the one that is under way', async () => {
  const between = running();
  await vi.advanceTimersByTimeAsync(10);
  between.stop.abort();
  await between.done;
  expect(between.judge).toHaveBeenCalledTimes(1);

  const { promise, resolve } = Promise.withResolvers<JudgedRound>();
  const within = running([() => promise]);
  within.stop.abort();
  resolve(round(true));
  await within.done;
  expect(within.judge).toHaveBeenCalledTimes(1);
});
