import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Move,
  type TroubleMemory,
  type TroubleObservation,
  nextMove,
  nothingTried,
  remember,
} from '../../src/domain/consumer-trouble.ts';
import { MemoryConsumer, type MemoryConsumerOptions } from '../support/memory-consumer.ts';
import { HOUR_MS, play, policy } from '../support/trouble-play.ts';

const dead: TroubleObservation = {
  isCurrent: true,
  state: 'enabled',
  mode: 'probing',
  successes: 0,
  failures: 3,
  relapses: 0,
  sendLimit: null,
  maxInFlight: 8,
  leftBehind: 100,
  hasPending: true,
  failingForMs: 0,
  failedMsAgo: 0,
};
const recovering: TroubleObservation = {
  ...dead,
  mode: 'recovering',
  sendLimit: 2,
  successes: 4,
  failures: 0,
  failingForMs: null,
};
const at = (now: number, random = 0.5) => ({ now, random });
const move = (seen: TroubleObservation, memory: Partial<TroubleMemory> = {}, now = 0): Move =>
  nextMove(seen, { ...nothingTried, ...memory }, policy, at(now));

const anySeen: fc.Arbitrary<TroubleObservation> = fc.record({
  isCurrent: fc.boolean(),
  state: fc.constantFrom('enabled', 'paused', 'disabled'),
  mode: fc.constantFrom('normal', 'probing', 'recovering'),
  successes: fc.nat(5),
  failures: fc.nat(5),
  relapses: fc.nat(5),
  sendLimit: fc.option(fc.integer({ min: 1, max: 100 })),
  maxInFlight: fc.integer({ min: 1, max: 100 }),
  leftBehind: fc.nat(1_000),
  hasPending: fc.boolean(),
  failingForMs: fc.option(fc.nat(100 * HOUR_MS)),
  failedMsAgo: fc.option(fc.nat(100 * HOUR_MS)),
});
const anyMemory: fc.Arbitrary<TroubleMemory> = fc.record({
  probes: fc.nat(2_000),
  restUntil: fc.nat(HOUR_MS),
});
const anyTime = fc.record({
  now: fc.integer({ min: HOUR_MS, max: 200 * HOUR_MS }),
  random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
});

const probesOf = (moves: readonly { readonly at: number; readonly move: Move }[]): number[] =>
  moves.filter((made) => made.move.move === 'probe').map((made) => made.at);

describe('a consumer that does not answer', () => {
  test('is probed at growing intervals, up to the longest, whatever news hasten the looks', () => {
    fc.assert(
      fc.property(
        fc.infiniteStream(fc.option(fc.integer({ min: 1, max: 5_000 }), { nil: undefined })),
        fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
        (news, randoms) => {
          const { moves } = play(new MemoryConsumer(), {
            until: HOUR_MS,
            hastened: () => news.next().value,
            random: () => randoms.next().value ?? 0,
          });
          const probes = probesOf(moves);
          const gaps = probes.slice(1).map((time, index) => time - (probes[index] ?? 0));
          for (const [index, gap] of gaps.entries()) {
            const full = Math.min(60_000, 1_000 * 2 ** index);
            expect(gap).toBeGreaterThanOrEqual(full * 0.75);
            expect(gap).toBeLessThanOrEqual(full * 1.25);
          }
          expect(probes.length).toBeGreaterThan(40);
        },
      ),
      { numRuns: 20 },
    );
  });

  test('is given up once it was tried for long enough, and not before', () => {
    const { end, now } = play(new MemoryConsumer(), { until: 100 * HOUR_MS });
    expect(end).toBe('given_up');
    expect(now).toBeGreaterThanOrEqual(policy.giveUpMs);
    expect(now).toBeLessThan(policy.giveUpMs + 2 * policy.longestProbeMs);
  });

  test('is not given up while nothing was sent to it, of late or at all', () => {
    const long = { ...dead, failingForMs: 100 * HOUR_MS };
    expect(move({ ...long, failedMsAgo: 6 * policy.longestProbeMs }).move).toBe('probe');
    expect(move({ ...long, failedMsAgo: null }).move).toBe('probe');
    expect(move({ ...long, failedMsAgo: 2 * policy.longestProbeMs }).move).toBe('give_up');
  });

  test('is not given up for a relapse, however long ago its trouble began', () => {
    const consumer = new MemoryConsumer({ backlog: 10 });
    consumer.hear({ says: 'works' });
    consumer.hear({ says: 'fails', orderId: 'o1', blames: 'answer', reason: 'http_500' });
    const { end, now } = play(consumer, { until: 71 * HOUR_MS });
    expect([end, now >= 71 * HOUR_MS]).toEqual(['goes on', true]);
    expect(move({ ...dead, failingForMs: null }).move).toBe('probe');
  });

  test('is not given up where there is nothing that it could get: that is the end of its trouble', () => {
    const seen = { ...dead, failingForMs: 100 * HOUR_MS, leftBehind: 0, hasPending: false };
    expect(move(seen)).toEqual({ move: 'end', waitMs: 1_000 });
    expect(move({ ...recovering, failures: 1, leftBehind: 0, hasPending: false }).move).toBe('end');
    const consumer = new MemoryConsumer({ backlog: 0 });
    expect(play(consumer, { until: 100 * HOUR_MS }).end).toBe('ended');
    // What it failed is not forgotten: the next failure is the next trouble.
    consumer.hear({ says: 'fails', orderId: 'o9', blames: 'answer', reason: 'http_500' });
    expect(consumer.health).toMatchObject({ mode: 'probing', epoch: 2 });
  });
});

describe('a consumer that is back', () => {
  const anyConsumer: fc.Arbitrary<MemoryConsumerOptions> = fc.record({
    backlog: fc.nat(3_000),
    maxInFlight: fc.integer({ min: 1, max: 100 }),
  });

  test('gets all that was left behind, and its trouble ends', () => {
    fc.assert(
      fc.property(anyConsumer, fc.nat(48 * HOUR_MS), (options, backAt) => {
        // Something to probe with, or nothing can prove that it is back.
        const consumer = new MemoryConsumer({ ...options, backlog: 1 + (options.backlog ?? 0) });
        const { end, moves } = play(consumer, {
          until: 72 * HOUR_MS,
          happens: (now) => void (consumer.isUp = now >= backAt),
        });
        expect(end).toBe('ended');
        expect([consumer.health.mode, consumer.backlog]).toEqual(['normal', 0]);
        const back = moves.findIndex((made) => made.at >= backAt);
        // Within one longest interval it is noticed.
        expect((moves[back]?.at ?? 0) - backAt).toBeLessThanOrEqual(policy.longestProbeMs * 1.25);
      }),
      { numRuns: 50 },
    );
  });

  test('comes to its end with any outages in between, and is let more by twice at most', () => {
    const outages = fc.array(fc.boolean(), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(anyConsumer, outages, (options, ups) => {
        const consumer = new MemoryConsumer({ ...options, backlog: 1 + (options.backlog ?? 0) });
        const { end, moves } = play(consumer, {
          until: 72 * HOUR_MS,
          happens: (now) => void (consumer.isUp = ups[Math.floor(now / 7_000)] ?? true),
        });
        expect(end).toBe('ended');
        let limit = 0;
        for (const { move: made } of moves) {
          if (made.move === 'probe') limit = 0;
          if (made.move !== 'open') continue;
          expect(made.sendLimit).toBeGreaterThanOrEqual(1);
          expect(made.sendLimit).toBeLessThanOrEqual(Math.max(1, Math.min(consumer.maxInFlight, limit * 2)));
          limit = made.sendLimit;
        }
      }),
      { numRuns: 50 },
    );
  });

  test('is sent twice as many at a time with each tick, up to its own limit', () => {
    const consumer = new MemoryConsumer({ backlog: 200, maxInFlight: 10, isUp: true });
    const { moves } = play(consumer, { until: HOUR_MS });
    expect(moves.flatMap(({ move: made }) => (made.move === 'open' ? [made.sendLimit] : []))).toEqual([1, 2, 4, 8, 10]);
  });

  test('is sent half as many after a failure, and one at least', () => {
    expect(move({ ...recovering, sendLimit: 5, failures: 1 })).toMatchObject({ move: 'open', sendLimit: 2 });
    expect(move({ ...recovering, sendLimit: 1, failures: 1 })).toEqual({ move: 'hold', waitMs: 1_000 });
  });

  test('is sent no more than a limit that was lowered meanwhile', () => {
    expect(move({ ...recovering, sendLimit: 64, maxInFlight: 3 })).toMatchObject({ move: 'open', sendLimit: 3 });
  });

  test('is let be while all that it takes is under way', () => {
    expect(move({ ...recovering, sendLimit: 8 })).toEqual({ move: 'hold', waitMs: 5_000 });
  });

  test('is waited for where only what waits for its own time still fails', () => {
    expect(move({ ...recovering, failures: 1, leftBehind: 0 })).toEqual({ move: 'wait', waitMs: 60_000 });
  });

  test('is tried afresh after a relapse', () => {
    const seen = { ...dead, successes: 1 };
    const opened = move(seen, { probes: 9, restUntil: 50_000 }, 1_000);
    expect(opened).toEqual({ move: 'open', sendLimit: 1, waitMs: 1_000 });
    const memory = remember({ probes: 9, restUntil: 50_000 }, seen, opened, 1_000);
    expect(memory).toEqual({ probes: 0, restUntil: 2_000 });
  });
});

describe('whatever is seen', () => {
  type Holds = (seen: TroubleObservation, made: Move, memory: TroubleMemory, now: number) => boolean;
  /** Null where `holds` holds for whatever was tried. */
  const counterexample = (holds: Holds): unknown =>
    fc.check(
      fc.property(anySeen, anyMemory, anyTime, (seen, memory, time) =>
        holds(seen, nextMove(seen, memory, policy, time), memory, time.now),
      ),
      { numRuns: 2_000 },
    ).counterexample;

  test('it leaves if the trouble is over or another one, and only then', () => {
    expect(
      counterexample((seen, made) => (made.move === 'leave') === (!seen.isCurrent || seen.mode === 'normal')),
    ).toBeNull();
  });

  test('one that is paused or disabled is neither sent anything nor given up', () => {
    expect(
      counterexample((seen, made) => seen.state === 'enabled' || made.move === 'wait' || made.move === 'leave'),
    ).toBeNull();
  });

  test('the end is asked for only where nothing failed and nothing is left behind, or nothing is to be sent', () => {
    expect(
      counterexample(
        (seen, made) => made.move !== 'end' || !seen.hasPending || (seen.failures === 0 && seen.leftBehind === 0),
      ),
    ).toBeNull();
  });

  test('it never waits for nothing, nor longer than for news', () => {
    expect(
      counterexample(
        (_seen, made, memory, now) =>
          !('waitMs' in made) ||
          (made.waitMs >= 1 &&
            made.waitMs <= Math.max(policy.idleMs, policy.longestProbeMs * 1.25, memory.restUntil - now)),
      ),
    ).toBeNull();
  });
});

test('a consumer that was paused is probed at once when it goes on, in short intervals again', () => {
  const paused = { ...dead, state: 'paused' as const };
  const memory = remember({ probes: 9, restUntil: 90_000 }, paused, move(paused), 60_000);
  expect(memory).toEqual({ probes: 0, restUntil: 0 });
  expect(nextMove(dead, memory, policy, at(60_000))).toEqual({ move: 'probe', waitMs: 1_000 });
});
