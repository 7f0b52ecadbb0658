import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ConsumerHealth, TROUBLE_FAILURES, hear, healthy, isClean } from '../../src/domain/consumer-health.ts';
import type { ConsumerMode } from '../../src/domain/consumers.ts';
import {
  type AttemptResult,
  type DeliveryPolicy,
  type FailureCause,
  type Judged,
  backoff,
  judge,
} from '../../src/domain/delivery.ts';
import { wordsOf } from '../../src/domain/delivery-ports.ts';
import { claimed } from '../support/memory-queue.ts';

const HOUR_MS = 3_600_000;
const policy: DeliveryPolicy = {
  maxStrikes: 10,
  backoffBaseMs: 1_000,
  backoffCapMs: 6 * HOUR_MS,
  longestRetryAfterMs: HOUR_MS,
};
const atWork: Judged = { strikes: 0, mode: 'normal', isWatched: false, workedSince: false };

const failed = (cause: FailureCause, retryAfterMs: number | null = null): AttemptResult => ({
  outcome: 'failed',
  cause,
  status: null,
  answer: null,
  error: 'no',
  retryAfterMs,
  startedAt: new Date(0),
  durationMs: 1,
});
const after = (cause: FailureCause, { retryAfterMs, ...known }: Partial<Judged> & { retryAfterMs?: number } = {}) => {
  const verdict = judge({ ...atWork, ...known }, failed(cause, retryAfterMs), policy, 0.5);
  if (verdict.next === 'delivered') throw new Error('a failure was taken for a delivery');
  return verdict;
};
/** How many attempts in a row that fail by `cause` it takes to the dead letters; `rest` is the same of all but the first. */
const attemptsToDeath = (
  cause: FailureCause,
  maxStrikes: number,
  mode: ConsumerMode = 'normal',
  { retryAfterMs = null, ...rest }: Partial<Judged> & { readonly retryAfterMs?: number | null } = {},
) => {
  for (let strikes = 0, attempts = 1; ; attempts += 1) {
    const known = { ...atWork, isWatched: mode !== 'normal', ...(attempts === 1 ? {} : rest), strikes, mode };
    const verdict = judge(known, failed(cause, retryAfterMs), { ...policy, maxStrikes }, 0);
    if (verdict.next !== 'retry') return attempts;
    if (attempts > maxStrikes + 5) return Infinity;
    strikes = verdict.strikes;
  }
};

const beyondTheEvent = [
  'http_429',
  'mail_unavailable',
  'dns_failed',
  'connection_refused',
  'tls_failed',
  'address_refused',
  'broker_unavailable',
] as const;
const ambiguous = ['http_502', 'http_503', 'http_504', 'connection_broken'] as const;
const theEvents = [
  'http_500',
  'http_400',
  'http_302',
  'timeout',
  'bad_answer',
  'unroutable',
  'broker_refused',
  'mail_refused',
] as const;
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe('a poison event', () => {
  test.each(theEvents)('is dead after exactly as many failures as are allowed: %s', (cause) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), (max) => {
        expect(attemptsToDeath(cause, max)).toBe(max);
      }),
    );
  });

  test.each(ambiguous)('is dead after as many where it breaks whoever takes it and others pass: %s', (cause) => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 30 }), (max) => {
        expect(attemptsToDeath(cause, max)).toBe(max);
      }),
    );
    expect(attemptsToDeath(cause, 3, 'recovering')).toBe(3);
  });

  test.each(['http_429', 'http_502', 'http_503', 'http_504', 'mail_unavailable'] as const)(
    'is dead though its consumer says that it is overloaded, and when to come again, if others pass meanwhile: %s',
    (cause) => {
      for (const retryAfterMs of [null, 0, 30_000]) {
        for (const mode of ['normal', 'recovering'] as const) {
          const others = { workedSince: true, isWatched: true, retryAfterMs };
          fc.assert(
            fc.property(fc.integer({ min: 2, max: 30 }), (max) => {
              expect(attemptsToDeath(cause, max, mode, others)).toBeLessThanOrEqual(max + 1);
            }),
          );
        }
      }
    },
  );

  test('is dead where two of them break whoever takes them, and watch each other, if others pass', () => {
    expect(attemptsToDeath('connection_broken', 5, 'normal', { workedSince: true, isWatched: true })).toBe(5);
  });

  test.each([...theEvents, ...ambiguous, 'http_429'] as const)(
    'is not blamed while its consumer is probed: %s',
    (cause) => {
      expect(attemptsToDeath(cause, 1, 'probing')).toBe(Infinity);
      expect(attemptsToDeath(cause, 1, 'probing', { workedSince: true })).toBe(Infinity);
    },
  );

  test('makes nobody wait any more once others passed and it was refused again', () => {
    const known = { retryAfterMs: HOUR_MS, isWatched: true };
    expect(after('http_429', { ...known, strikes: 1, workedSince: true })).toMatchObject({
      throttleMs: null,
      delayMs: HOUR_MS,
    });
    // Once may be chance: a consumer takes some and refuses others where it has a rate.
    expect(after('http_429', { ...known, strikes: 0, workedSince: true }).throttleMs).toBe(HOUR_MS);
    expect(after('http_429', { ...known, strikes: 5, workedSince: false }).throttleMs).toBe(HOUR_MS);
    expect(after('http_429', { ...known, strikes: 5, workedSince: true, mode: 'probing' }).throttleMs).toBe(HOUR_MS);
  });

  test('makes the others wait no longer than its first failure did', () => {
    const { throttleMs, delayMs } = after('http_503', { strikes: 8 });
    expect(throttleMs).toBe(750);
    expect(delayMs).toBeGreaterThan(HOUR_MS);
  });
});

describe('a mail', () => {
  test('that is refused for good is dead at once, even where its server is being probed, and blames nobody', () => {
    for (const cause of ['smtp_550', 'smtp_554'] as const) {
      for (const mode of ['normal', 'probing', 'recovering'] as const) {
        expect(after(cause, { mode })).toMatchObject({ next: 'dead', blames: 'nothing', throttleMs: null });
      }
    }
  });

  test('whose mailbox is full or greylisted is tried again until as many failed as are allowed, and blames nobody', () => {
    for (const cause of ['smtp_450', 'smtp_451', 'smtp_452'] as const) {
      expect(attemptsToDeath(cause, 10)).toBe(10);
      expect(attemptsToDeath(cause, 10, 'probing')).toBe(10);
      expect(after(cause)).toMatchObject({ next: 'retry', blames: 'nothing', throttleMs: null });
    }
  });

  test('that its server takes as little as any other is trouble of the server, as if it could not be reached', () => {
    expect(after('mail_unavailable')).toMatchObject({ next: 'retry', strikes: 0, blames: 'connection' });
  });
});

describe('an outage', () => {
  const cause = fc.constantFrom<FailureCause>(...beyondTheEvent, ...ambiguous);
  const retryAfterMs = fc.constantFrom(null, null, 2_000);
  const failure = fc.record({ index: fc.nat(), cause, retryAfterMs, random, workedBefore: fc.boolean() });
  // A consumer with one order alone is in no trouble by bad answers, and its outage is one all the same.
  const orders = fc.integer({ min: 1, max: 6 });

  type Failure = typeof failure extends fc.Arbitrary<infer Step> ? Step : never;

  /** Plays it, one delivery each order: a step begins its attempt, the next step with it ends that. Resolves with the most strikes. */
  function mostStrikes(steps: readonly Failure[], maxStrikes: number, count: number): number {
    let health: ConsumerHealth = healthy;
    let throttled = false;
    const strikes = new Map<number, number>();
    const underWay = new Map<number, Judged>();
    for (const step of steps) {
      const index = step.index % count;
      const begun = underWay.get(index);
      if (begun === undefined) {
        const isWatched = !isClean(health) || throttled;
        // Only before it began did the consumer take anything.
        const workedSince = !strikes.has(index) && step.workedBefore;
        underWay.set(index, { strikes: strikes.get(index) ?? 0, mode: health.mode, isWatched, workedSince });
        continue;
      }
      underWay.delete(index);
      const result = failed(step.cause, step.retryAfterMs);
      const verdict = judge(begun, result, { ...policy, maxStrikes }, step.random);
      expect(verdict.next).toBe('retry');
      if (verdict.next === 'delivered') return Infinity;
      strikes.set(index, verdict.strikes);
      throttled ||= verdict.throttleMs !== null;
      const delivery = claimed({ orderId: `o${index}` });
      health = wordsOf([{ delivery, result, verdict }]).reduce(hear, health);
    }
    return Math.max(0, ...strikes.values());
  }

  test('of any length, in which nothing is reached or all is refused, kills nothing, even where one strike is enough', () => {
    fc.assert(
      fc.property(fc.array(failure, { maxLength: 200 }), fc.integer({ min: 1, max: 3 }), orders, (...outage) => {
        expect(mostStrikes(...outage)).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('of any length and kind kills nothing where more strikes are allowed than failures make trouble, however quiet', () => {
    const any = fc.constantFrom<FailureCause>(...beyondTheEvent, ...ambiguous, ...theEvents);
    const steps = fc.array(
      fc.record({ index: fc.nat(), cause: any, retryAfterMs, random, workedBefore: fc.boolean() }),
      {
        maxLength: 200,
      },
    );
    fc.assert(
      fc.property(steps, orders, (given, count) => {
        expect(mostStrikes(given, TROUBLE_FAILURES + 1, count)).toBeLessThanOrEqual(TROUBLE_FAILURES);
      }),
    );
  });

  test.each(beyondTheEvent)('is never the event’s doing where no event can be the reason: %s', (which) => {
    for (const mode of ['normal', 'probing', 'recovering'] as const) {
      for (const isWatched of [true, false]) {
        for (const workedSince of which === 'http_429' || which === 'mail_unavailable' ? [false] : [true, false]) {
          const known = { strikes: 9, mode, isWatched, workedSince };
          expect(after(which, known)).toMatchObject({ next: 'retry', strikes: 9 });
        }
      }
    }
  });

  test('that says when to come again is none of the event’s doing either', () => {
    expect(after('http_503', { strikes: 9, retryAfterMs: 2_000 })).toMatchObject({ next: 'retry', strikes: 9 });
  });

  test('does not make an event wait that failed often before', () => {
    expect(after('connection_refused', { strikes: 9 }).delayMs).toBeLessThanOrEqual(1_000);
  });
});

describe('what a failure says of the consumer', () => {
  test.each([
    [
      'connection',
      ['dns_failed', 'connection_refused', 'connection_broken', 'tls_failed', 'broker_unavailable', 'timeout'],
    ],
    ['answer', ['http_500', 'http_503', 'http_429', 'unroutable']],
    ['nothing', ['http_410']],
  ] as const)('%s: %s', (blames, causes) => {
    for (const cause of causes) expect(after(cause).blames).toBe(blames);
  });

  test('410 disables it, and is no strike', () => {
    expect(after('http_410')).toMatchObject({ next: 'retry', disables: true, strikes: 0, throttleMs: null });
    expect(after('http_404').disables).toBe(false);
  });

  test('a failure without a cause is a bad answer', () => {
    expect(judge(atWork, { ...failed('timeout'), cause: null }, policy, 0)).toMatchObject({ cause: 'bad_answer' });
  });

  test('a delivery is one', () => {
    const delivered: AttemptResult = { ...failed('timeout'), outcome: 'delivered', cause: null, error: null };
    expect(judge(atWork, delivered, policy, 0)).toEqual({ next: 'delivered' });
  });
});

describe('the wait before the next attempt', () => {
  test('is at least what the consumer asked for, as far as that is honored, and throttles only if it is overloaded', () => {
    fc.assert(
      fc.property(
        fc.nat(10 * HOUR_MS),
        fc.constantFrom(...theEvents, ...beyondTheEvent, ...ambiguous),
        (asked, why) => {
          const honored = Math.min(asked, HOUR_MS);
          const { delayMs, throttleMs } = after(why, { retryAfterMs: asked });
          expect(delayMs).toBeGreaterThanOrEqual(honored);
          expect(delayMs).toBeLessThanOrEqual(Math.max(honored, 1_000));
          const throttles = ['http_429', 'http_502', 'http_503', 'http_504', 'mail_unavailable'].includes(why);
          expect(throttleMs).toBe(throttles ? honored : null);
        },
      ),
    );
  });

  test('grows by four, lies between the half and the whole of that, and never above the cap', () => {
    fc.assert(
      fc.property(fc.nat(2_000), random, (strikes, chance) => {
        const full = Math.min(policy.backoffCapMs, 1_000 * 4 ** Math.max(0, strikes - 1));
        const waitMs = backoff(strikes, policy, chance);
        expect(waitMs).toBeGreaterThanOrEqual(full / 2);
        expect(waitMs).toBeLessThanOrEqual(full);
        expect(Number.isInteger(waitMs)).toBe(true);
      }),
    );
    expect(backoff(1, { backoffBaseMs: 0.1, backoffCapMs: 1 }, 0)).toBe(1);
  });
});
