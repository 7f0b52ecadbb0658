import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { attempt, guarded, translate } from '../../src/activities/attempt.ts';
import { DomainFailure } from '../../src/domain/failures.ts';

const TEN_MINUTES_MS = 10 * 60_000;

describe('a failure that Temporal is told of', () => {
  const away = (retryAfterMs?: number): DomainFailure =>
    new DomainFailure('provider_unavailable', 'away', retryAfterMs === undefined ? {} : { retryAfterMs });
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  const attemptNumber = fc.integer({ min: 1, max: 100_000 });

  test('always waits at least a millisecond, since none at all would mean the longest wait', () => {
    fc.assert(
      fc.property(attemptNumber, random, (number, chance) => {
        const delay = Number(translate(away(), number, chance).nextRetryDelay);
        expect(delay).toBeGreaterThanOrEqual(1);
        expect(delay).toBeLessThanOrEqual(Math.min(500 * 2 ** (number - 1), 60_000));
        expect(Number.isInteger(delay)).toBe(true);
      }),
    );
  });

  test('waits at least as long as the other side asked, and ten minutes and the jitter at most', () => {
    fc.assert(
      fc.property(attemptNumber, random, fc.nat({ max: 10 * TEN_MINUTES_MS }), (number, chance, asked) => {
        const delay = Number(translate(away(asked), number, chance).nextRetryDelay);
        expect(delay).toBeGreaterThanOrEqual(Math.min(asked, TEN_MINUTES_MS));
        expect(delay).toBeLessThanOrEqual(TEN_MINUTES_MS + 60_000);
      }),
    );
  });

  test('tells the workflow how long the other side asked to wait', () => {
    expect(translate(away(3000), 1, 0)).toMatchObject({ details: [{ retryAfterMs: 3000 }], nonRetryable: false });
    expect(translate(away(), 1, 0).details).toEqual([]);
  });

  test('has those who are asked to wait for the same moment come one after another, the local attempts too', () => {
    const late = translate(away(60_000), 1, 0.5);
    expect(late).toMatchObject({ nextRetryDelay: 67_500, details: [{ retryAfterMs: 67_500 }] });
  });

  test.each(['breaker_open', 'bulkhead_full'] as const)('is benign where no provider was asked: %s', (code) => {
    const failure = translate(new DomainFailure(code, 'not now', { retryAfterMs: 5_000 }), 3, 0.5);
    expect(failure).toMatchObject({ category: 'BENIGN', nonRetryable: false, nextRetryDelay: 6_000 });
    expect(translate(away(5_000), 3, 0.5).category).not.toBe('BENIGN');
  });

  test('is not retried where the table says that it is of no use', () => {
    const failure = translate(new DomainFailure('provider_rejected', 'malformed'), 1, 0.5);
    expect(failure).toMatchObject({ type: 'provider_rejected', nonRetryable: true, message: 'malformed' });
    expect(failure.nextRetryDelay).toBeUndefined();
  });
});

describe('a guarded activity', () => {
  test('leaves with its domain failure translated, and any other error as it is', async () => {
    const bug = new TypeError('a bug');
    const activities = guarded({
      fails: () => Promise.reject(new DomainFailure('conflict', 'no')),
      breaks: () => Promise.reject(bug),
      works: (input: number) => Promise.resolve(input + 1),
    });
    const env = new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') });
    await expect(env.run(activities.fails)).rejects.toThrow(ApplicationFailure);
    await expect(env.run(activities.fails)).rejects.toMatchObject({ type: 'conflict', nonRetryable: true });
    await expect(env.run(activities.breaks)).rejects.toBe(bug);
    await expect(env.run(activities.works, 1)).resolves.toBe(2);
  });

  test('is aborted in time to record how its attempt ended', async () => {
    const startToCloseTimeoutMs = 100;
    const env = new MockActivityEnvironment({ startToCloseTimeoutMs });
    const begun = performance.now();
    await env.run(async () => {
      const { signal } = attempt();
      expect(signal.aborted).toBe(false);
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    });
    expect(performance.now() - begun).toBeGreaterThan(0.6 * startToCloseTimeoutMs);
  });

  test('is aborted at once when it is cancelled', async () => {
    const env = new MockActivityEnvironment({ startToCloseTimeoutMs: 600_000 });
    const aborted = env.run(async () => {
      const { signal } = attempt();
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      return signal.aborted;
    });
    env.cancel();
    expect(await aborted).toBe(true);
  });
});
