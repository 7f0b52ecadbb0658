import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ForcedState } from '../../src/domain/breakers.ts';
import {
  type Breaker,
  type CallOutcome,
  type Ticket,
  admit,
  breakerDefaults as policy,
  createBreaker,
  force,
  passTime,
  recentCalls,
  settle,
} from '../../src/resilience/breaker.ts';
import { ReferenceBreaker } from '../support/breaker-reference.ts';

const HOUR_MS = 3_600_000;

/** A breaker with a clock that is set by hand. */
class Played {
  breaker: Breaker = createBreaker(0);
  now = 0;

  /** The ticket, or how long to wait. */
  ask(): Ticket | number {
    const admitted = admit(this.breaker, policy, this.now);
    this.breaker = admitted.breaker;
    return admitted.ticket ?? admitted.retryAfterMs;
  }
  begin(): Ticket {
    const asked = this.ask();
    if (typeof asked === 'number') throw new Error(`refused, ${this.breaker.state}`);
    return asked;
  }
  end(ticket: Ticket, outcome: CallOutcome): void {
    this.breaker = settle(this.breaker, policy, ticket, outcome, this.now);
  }
  calls(outcome: CallOutcome, times = 1): void {
    for (let time = 0; time < times; time += 1) this.end(this.begin(), outcome);
  }
  force(wanted: ForcedState): void {
    this.breaker = force(this.breaker, wanted, 'because', this.now);
  }
  get state(): Breaker['state'] {
    this.breaker = passTime(this.breaker, policy, this.now);
    return this.breaker.state;
  }
  /** Opens it, and waits until it may be probed. */
  toHalfOpen(): this {
    this.calls('failed', 10);
    this.now += policy.openMs;
    return this;
  }
}

describe('a closed breaker', () => {
  test('opens when half of ten calls failed, and says so', () => {
    const played = new Played();
    played.calls('succeeded', 5);
    played.calls('failed', 4);
    expect(played.state).toBe('closed');
    played.calls('failed');
    expect(played.breaker).toMatchObject({ state: 'open', cause: '5 of 10 calls failed' });
    expect(played.ask()).toBe(policy.openMs);
  });

  test('stays closed where fewer than half fail', () => {
    const played = new Played();
    for (let round = 0; round < 100; round += 1) {
      played.calls('succeeded', 6);
      played.calls('failed', 4);
    }
    expect(played.state).toBe('closed');
  });

  test('does not count what says nothing of the provider', () => {
    const played = new Played();
    played.calls('ignored', 100);
    played.calls('failed', 2);
    expect(recentCalls(played.breaker, policy, played.now)).toEqual({ calls: 2, failures: 2 });
    expect(played.state).toBe('closed');
  });

  test('has forgotten failures from before an idle hour', () => {
    const played = new Played();
    played.calls('failed', 9);
    played.now += HOUR_MS;
    played.calls('failed', 2);
    expect(played.state).toBe('closed');
    expect(recentCalls(played.breaker, policy, played.now)).toEqual({ calls: 2, failures: 2 });
  });

  test('is not opened by one failure, nor by two, however little is called', () => {
    const played = new Played();
    played.calls('failed');
    played.now += 30_000;
    played.calls('failed');
    expect(played.state).toBe('closed');
  });

  test.each([1_000, 10_000, 30_000])('does not stay closed where a call each %i ms fails', (everyMs) => {
    const played = new Played();
    played.calls('failed');
    while (played.state === 'closed' && played.now < HOUR_MS) {
      played.now += everyMs;
      played.calls('failed');
    }
    expect(played.breaker.state).toBe('open');
    expect(played.breaker.sinceMs).toBeLessThanOrEqual(60_000);
    expect(played.breaker.cause).toMatch(/^\d+ (of \d+ calls|calls in a row) failed$/);
  });

  test('stays closed where one success comes between few failures', () => {
    const played = new Played();
    for (let round = 0; round < 10; round += 1) {
      played.calls('failed', 2);
      played.calls('succeeded');
      played.now += 20_000;
    }
    expect(played.state).toBe('closed');
  });
});

describe('an open breaker', () => {
  test('refuses all until its time is over, and says how long that is', () => {
    const played = new Played();
    played.calls('failed', 10);
    played.now += policy.openMs - 1;
    expect(played.ask()).toBe(1);
    played.now += 1;
    expect(played.state).toBe('half-open');
  });

  test('is open for twice as long after each probe that failed, up to its longest, and for the first time once closed', () => {
    const played = new Played();
    played.calls('failed', 10);
    const waits = Array.from({ length: 6 }, () => {
      const wait = Number(played.ask());
      played.now += wait;
      played.calls('failed');
      return wait;
    });
    expect(waits).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
    played.now += 60_000;
    played.calls('succeeded', 3);
    played.calls('failed', 10);
    expect(played.ask()).toBe(5_000);
  });
});

describe('a half-open breaker', () => {
  test('lets three probes through and refuses all others at once, until one has ended', () => {
    const played = new Played().toHalfOpen();
    const [first] = [played.begin(), played.begin(), played.begin()];
    expect(played.ask()).toBe(1_000);
    played.end(first, 'succeeded');
    expect(played.ask()).toMatchObject({ generation: 2 });
    expect(played.ask()).toBe(1_000);
  });

  test('closes once three have succeeded, and has forgotten what was before', () => {
    const played = new Played().toHalfOpen();
    played.calls('succeeded', 2);
    expect(played.state).toBe('half-open');
    played.calls('succeeded');
    expect(played.state).toBe('closed');
    played.calls('failed', 9);
    expect(played.state).toBe('closed');
  });

  test('is opened by one that fails, and by no other of the same round', () => {
    const played = new Played().toHalfOpen();
    const [first, second, third] = [played.begin(), played.begin(), played.begin()];
    played.end(first, 'failed');
    played.end(second, 'failed');
    played.end(third, 'succeeded');
    expect(played.ask()).toBe(2 * policy.openMs);
  });

  test('is neither opened nor closed by a probe that says nothing of the provider, whose place is free', () => {
    const played = new Played().toHalfOpen();
    played.calls('ignored', 20);
    expect(played.state).toBe('half-open');
    expect(recentCalls(played.breaker, policy, played.now)).toEqual({ calls: 0, failures: 0 });
  });

  test('frees the place of a probe that hangs, and does not hear it any more', () => {
    const played = new Played().toHalfOpen();
    const hung = [played.begin(), played.begin(), played.begin()] as const;
    played.now += policy.probeMs - 1;
    expect(played.ask()).toBe(1_000);
    played.now += 1;
    played.end(hung[0], 'failed');
    expect(played.state).toBe('half-open');
    played.calls('succeeded', 2);
    for (const probe of hung) played.end(probe, 'succeeded');
    expect(played.state).toBe('half-open');
    played.calls('succeeded');
    expect(played.state).toBe('closed');
  });
});

test('a late success from before the opening changes nothing, and neither does a late failure', () => {
  const played = new Played();
  const late = Array.from({ length: 20 }, () => played.begin());
  played.toHalfOpen();
  for (const ticket of late.slice(0, 10)) played.end(ticket, 'succeeded');
  expect(played.state).toBe('half-open');
  for (const ticket of late.slice(10)) played.end(ticket, 'failed');
  expect(played.state).toBe('half-open');
});

describe('a forced breaker', () => {
  test('lets all through, or nothing, whatever comes of it and however long it takes', () => {
    const played = new Played();
    played.force('closed');
    played.calls('failed', 100);
    expect(played.state).toBe('forced-closed');
    played.force('open');
    played.now += HOUR_MS;
    expect(played.ask()).toBe(30_000);
    expect(played.state).toBe('forced-open');
  });

  test('begins afresh when it is forced no more: what was under way does not count', () => {
    const played = new Played();
    played.calls('failed', 9);
    played.force('closed');
    const during = Array.from({ length: 20 }, () => played.begin());
    played.force('auto');
    for (const ticket of during) played.end(ticket, 'failed');
    played.calls('failed');
    expect(played.state).toBe('closed');
  });

  test('that is forced as it is already, or is not and shall not be, stays as it is', () => {
    const played = new Played().toHalfOpen();
    const before = played.breaker;
    played.force('auto');
    expect(played.breaker).toBe(before);
    played.force('open');
    const forced = played.breaker;
    played.now += 1;
    played.force('open');
    expect(played.breaker).toBe(forced);
  });
});

type Step =
  | { readonly do: 'call'; readonly times: number; readonly outcome: CallOutcome }
  | { readonly do: 'begin' }
  | { readonly do: 'end'; readonly which: number; readonly outcome: CallOutcome }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'force'; readonly wanted: ForcedState };

const outcome = fc.constantFrom<CallOutcome>('succeeded', 'failed', 'failed', 'ignored');
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('call'), times: fc.integer({ min: 1, max: 12 }), outcome }) },
  { weight: 6, arbitrary: fc.constant({ do: 'begin' } as const) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('end'), which: fc.nat(), outcome }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('wait'),
      // Moments that decide something, just before and at them, and any others.
      ms: fc.oneof(
        fc.constantFrom(1, 2_999, 3_000, 4_999, 5_000, 9_999, 10_000, 14_999, 15_000, 20_000, 30_000, 60_000, HOUR_MS),
        fc.nat({ max: 70_000 }),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('force'), wanted: fc.constantFrom('auto', 'open', 'closed') }) },
);

test('calls that overlap, in any order and at any time, do to a breaker what they do to the plainest one', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 80 }), (steps) => {
      const played = new Played();
      const reference = new ReferenceBreaker(policy);
      const underWay: { ticket: Ticket; call: NonNullable<ReturnType<ReferenceBreaker['call']>> }[] = [];
      const begin = (): void => {
        const asked = played.ask();
        const call = reference.call(played.now);
        expect(typeof asked === 'object').toBe(call !== undefined);
        expect(typeof asked === 'object' || asked > 0).toBe(true);
        if (typeof asked === 'object' && call) underWay.push({ ticket: asked, call });
      };
      const end = (which: number, how: CallOutcome): void => {
        const [ended] = underWay.splice(which, 1);
        if (ended === undefined) return;
        played.end(ended.ticket, how);
        reference.end(ended.call, how, played.now);
      };
      for (const one of steps) {
        if (one.do === 'begin') begin();
        if (one.do === 'end') end(one.which % Math.max(1, underWay.length), one.outcome);
        if (one.do === 'wait') played.now += one.ms;
        if (one.do === 'call') {
          for (let time = 0; time < one.times; time += 1) {
            const before = underWay.length;
            begin();
            if (underWay.length > before) end(before, one.outcome);
          }
        }
        if (one.do === 'force') {
          played.force(one.wanted);
          reference.force(one.wanted, played.now);
        }
        expect(played.state).toBe(reference.look(played.now));
        seen.add(`${played.state}: ${played.breaker.cause.replaceAll(/\d+/g, 'n')}`);
      }
    }),
    { numRuns: 3_000 },
  );
  // What was never come to would not have been tried.
  expect([...seen].toSorted()).toEqual([
    'closed: because',
    'closed: began',
    'closed: n probes succeeded',
    'forced-closed: because',
    'forced-open: because',
    'half-open: time to try again',
    'open: a probe failed',
    'open: n calls in a row failed',
    'open: n of n calls failed',
  ]);
});
