import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type RedriveMemory,
  type RedriveMove,
  type RedrivePolicy,
  type RedriveProgress,
  nextRedriveMove,
  nothingSent,
  rememberRedrive,
} from '../../src/domain/redrive.ts';
import { MemoryRedrive } from '../support/memory-redrive.ts';

const policy: RedrivePolicy = {
  canaries: 3,
  canaryWaitMs: 15 * 60_000,
  firstLookMs: 1_000,
  longestLookMs: 30_000,
  idleMs: 10 * 60_000,
};
const seen: RedriveProgress = {
  state: 'canary',
  ratePerSecond: 10,
  total: 100,
  sent: 3,
  delivered: 0,
  deadAgain: 0,
};
const move = (change: Partial<RedriveProgress>, memory: Partial<RedriveMemory> = {}, now = 0): RedriveMove =>
  nextRedriveMove({ ...seen, ...change }, { ...nothingSent, ...memory }, policy, now);

/** Plays the workflow, looking as often as it is told to, or sooner where `hastened` says so. */
function play(redrive: MemoryRedrive, hastened: () => number | undefined = () => undefined): number {
  let memory = nothingSent;
  let now = 0;
  for (let rounds = 0; rounds < 100_000; rounds += 1) {
    const progress = redrive.find();
    const next = nextRedriveMove(progress, memory, policy, now);
    if (next.move === 'leave') return now;
    let sent = 0;
    if (next.move === 'send') sent = redrive.sendNext(next.count, now);
    if (next.move === 'advance') redrive.advance(next.state);
    memory = rememberRedrive(memory, progress, { move: next, policy, now, sent });
    now += Math.min(next.waitMs, hastened() ?? Infinity);
  }
  throw new Error('it comes to no end');
}

describe('a redrive', () => {
  const anyRedrive = fc.record({
    total: fc.nat(3_000),
    ratePerSecond: fc.oneof(fc.integer({ min: 1, max: 2_000 }), fc.double({ min: 0.05, max: 50, noNaN: true })),
  });
  const anyNews = fc.infiniteStream(fc.option(fc.integer({ min: 1, max: 3_000 }), { nil: undefined, freq: 3 }));

  test('sends all, each once, and in no ten seconds more than its rate, whatever hastens the looks', () => {
    fc.assert(
      fc.property(anyRedrive, anyNews, (options, news) => {
        const redrive = new MemoryRedrive(options);
        play(redrive, () => news.next().value);
        expect([redrive.state, redrive.sent]).toEqual(['completed', options.total]);
        const { batches } = redrive;
        const most = options.ratePerSecond * 10 + Math.max(3, Math.floor(options.ratePerSecond));
        for (const [first, { at }] of batches.entries()) {
          const within = batches.slice(first).filter((batch) => batch.at < at + 10_000);
          expect(within.reduce((sum, batch) => sum + batch.sent, 0)).toBeLessThanOrEqual(most + 1);
        }
      }),
      { numRuns: 100 },
    );
  });

  test('takes as long as its rate says, and the time of its canaries', () => {
    for (const [ratePerSecond, total] of [
      [10, 503],
      [2.5, 103],
      [0.2, 13],
      [1_200, 12_003],
    ] as const) {
      const seconds = play(new MemoryRedrive({ total, ratePerSecond })) / 1_000;
      const expected = (total - 3) / ratePerSecond;
      expect(seconds).toBeGreaterThanOrEqual(expected);
      expect(seconds).toBeLessThanOrEqual(expected + 5);
    }
  });

  test('completes though some of its letters were retried or discarded one by one meanwhile', () => {
    fc.assert(
      fc.property(anyRedrive, fc.nat(3_000), (options, gone) => {
        const redrive = new MemoryRedrive(options);
        redrive.gone = Math.min(gone, options.total);
        play(redrive);
        expect([redrive.state, redrive.sent]).toEqual(['completed', options.total - redrive.gone]);
      }),
      { numRuns: 100 },
    );
  });

  test('leaves the others alone if its canaries die again, or do not arrive in time', () => {
    for (const [fate, expectedMs] of [
      ['dead', 60_000],
      ['waits', policy.canaryWaitMs + 60_000],
    ] as const) {
      const redrive = new MemoryRedrive({ total: 100 });
      redrive.fate = fate;
      expect(play(redrive)).toBeLessThanOrEqual(expectedMs);
      expect([redrive.state, redrive.sent]).toEqual(['failed', 3]);
    }
  });
});

describe('the canaries', () => {
  test('are as many as there are', () => {
    expect(move({ sent: 0, total: 2 })).toMatchObject({ move: 'send', count: 3 });
    expect(move({ sent: 2, total: 2 })).toMatchObject({ move: 'wait' });
  });

  test('are made up for where fewer were sent', () => {
    expect(move({ sent: 1 })).toMatchObject({ move: 'send', count: 2 });
  });

  test('pass as soon as one of them arrives, whatever becomes of the others', () => {
    expect(move({ delivered: 1, deadAgain: 1 })).toMatchObject({ move: 'advance', state: 'running' });
  });

  test('are waited for while one of them may still arrive', () => {
    expect(move({ deadAgain: 2 }, { looks: 1 })).toEqual({ move: 'wait', waitMs: 2_000 });
    expect(move({ deadAgain: 3 })).toMatchObject({ move: 'advance', state: 'failed' });
  });

  test('are looked at ever less often, and at last when their time is over', () => {
    expect(move({}, { looks: 40 })).toEqual({ move: 'wait', waitMs: 30_000 });
    expect(move({}, { looks: 40, canaryUntil: 5_000 }, 1_000)).toEqual({ move: 'wait', waitMs: 4_000 });
    expect(move({}, { looks: 40, canaryUntil: 5_000 }, 5_000)).toMatchObject({ move: 'advance', state: 'failed' });
  });

  test('have all their time again after a pause', () => {
    const paused = { ...seen, state: 'paused' as const };
    const before: RedriveMemory = { canaryUntil: 10, looks: 9, restUntil: 20, inVain: 1 };
    const wait: RedriveMove = { move: 'wait', waitMs: policy.idleMs };
    const memory = rememberRedrive(before, paused, { move: wait, policy, now: 30 });
    expect(memory).toEqual({ ...nothingSent, restUntil: 20 });
    expect(move({}, memory, 99 * policy.canaryWaitMs)).toMatchObject({ move: 'wait' });
  });
});

describe('one that is under way', () => {
  test('does nothing while it is paused, and leaves once it is at its end', () => {
    expect(move({ state: 'paused' })).toEqual({ move: 'wait', waitMs: policy.idleMs });
    for (const end of ['stopped', 'failed', 'completed'] as const) {
      expect(move({ state: end })).toEqual({ move: 'leave', end });
    }
  });

  test('does not send sooner for being told to look', () => {
    expect(move({ state: 'running' }, { restUntil: 700 }, 400)).toEqual({ move: 'wait', waitMs: 300 });
  });

  test('does not take nothing to send for the end the first time', () => {
    const running = { ...seen, state: 'running' as const };
    const send: RedriveMove = { move: 'send', count: 10, waitMs: 1_000 };
    const once = rememberRedrive(nothingSent, running, { move: send, policy, now: 0, sent: 0 });
    expect(move({ state: 'running' }, once, 1_000)).toMatchObject({ move: 'send' });
    const found = rememberRedrive(once, running, { move: send, policy, now: 1_000, sent: 1 });
    expect(found.inVain).toBe(0);
    const twice = rememberRedrive(once, running, { move: send, policy, now: 1_000, sent: 0 });
    expect(move({ state: 'running' }, twice, 2_000)).toMatchObject({ move: 'advance', state: 'completed' });
  });
});
