import type { BreakerName, BreakerState, ForcedState, ToldBreaker } from '../domain/breakers.ts';
import { DomainFailure } from '../domain/failures.ts';
import type { Attempt } from '../domain/step-ports.ts';
import {
  type Breaker,
  type BreakerPolicy,
  type CallOutcome,
  admit,
  createBreaker,
  force,
  passTime,
  recentCalls,
  settle,
} from './breaker.ts';
import { type BulkheadLimits, type CallKind, createBulkhead } from './bulkhead.ts';

export interface GuardTransition {
  readonly from: BreakerState;
  readonly to: BreakerState;
  readonly cause: string;
}

/** Told of what guards do, for metrics and the log. Must not throw. */
export interface GuardObserver {
  /** A call that was not made. */
  refused(name: BreakerName, by: 'breaker' | 'bulkhead'): void;
  transition(name: BreakerName, transition: GuardTransition): void;
  /** Calls that run now, at each change. */
  inFlight(name: BreakerName, calls: number): void;
}

/** Stands between the work and a provider. */
export interface Guard {
  /**
   * Does `work`, which calls the provider once, if it may be called now. Throws what `work` throws, or before it is
   * called, so that nothing happened: `breaker_open`, `bulkhead_full`, or `provider_timeout` if no time is left.
   */
  run<T>(kind: CallKind, attempt: Attempt, work: () => Promise<T>): Promise<T>;
}

/** A guard as its registry holds it. */
export interface HeldGuard extends Guard {
  readonly name: BreakerName;
  force(wanted: ForcedState, reason: string): void;
  /** As it is now, with what time has changed. */
  look(): ToldBreaker;
}

export interface GuardOptions {
  readonly policy: BreakerPolicy;
  readonly bulkhead: BulkheadLimits;
  readonly observer: GuardObserver;
  /** Milliseconds that never run backwards; those of `Attempt.deadline`. */
  readonly now: () => number;
  /** In [0, 1). */
  readonly random: () => number;
}

/** A call that succeeded, but only after this, failed: so slow, it holds up more than it does. */
const SLOW_MS = 5_000;
/**
 * A time-out says nothing of the provider if the call was given less. The first, local attempt at a step has 1.4 s: a
 * provider that takes two is slow, but everything gets done, by the second attempt; opening would stop it all. The others
 * have one time for each call, after which there is another way: who takes longer is away.
 */
const FAIR_MS: Readonly<Record<BreakerName, number>> = {
  payment: 2_000,
  'payment-fallback': 2_000,
  carrier: 2_000,
  quotes: 0,
  risk: 0,
};
const FULL_RETRY_MS = 500;

export function createGuard(name: BreakerName, options: GuardOptions): HeldGuard {
  const { policy, observer, now, random } = options;
  const bulkhead = createBulkhead(options.bulkhead);
  let breaker = createBreaker(now());

  function become(next: Breaker): void {
    const { state: from } = breaker;
    breaker = next;
    if (next.state !== from) observer.transition(name, { from, to: next.state, cause: next.cause });
  }

  return {
    name,
    async run(kind, attempt, work) {
      const began = now();
      if (attempt.signal.aborted || (attempt.deadline ?? Infinity) <= began) {
        throw new DomainFailure('provider_timeout', `${name}: no time is left to ask the provider`);
      }
      const admitted = admit(breaker, policy, began);
      become(admitted.breaker);
      const { ticket } = admitted;
      if (ticket === undefined) {
        observer.refused(name, 'breaker');
        const message = `${name}: the provider is not asked, its breaker is ${breaker.state} (${breaker.cause})`;
        throw new DomainFailure('breaker_open', message, { retryAfterMs: Math.ceil(admitted.retryAfterMs) });
      }
      const leave = bulkhead.enter(kind);
      if (leave === undefined) {
        become(settle(breaker, policy, ticket, 'ignored', began));
        observer.refused(name, 'bulkhead');
        throw new DomainFailure('bulkhead_full', `${name}: as many calls of the provider run as may`, {
          retryAfterMs: Math.round(FULL_RETRY_MS * (1 + 2 * random())),
        });
      }
      observer.inFlight(name, bulkhead.inFlight);
      // A work that throws instead of rejecting is a fault of ours, and must give back its place all the same.
      let outcome: CallOutcome = 'ignored';
      try {
        const answer = await work();
        outcome = now() - began > SLOW_MS ? 'failed' : 'succeeded';
        return answer;
      } catch (error) {
        outcome = outcomeOf(error, attempt, began + FAIR_MS[name]);
        throw error;
      } finally {
        leave();
        observer.inFlight(name, bulkhead.inFlight);
        become(settle(breaker, policy, ticket, outcome, now()));
      }
    },
    force: (wanted, reason) => become(force(breaker, wanted, reason, now())),
    look() {
      const nowMs = now();
      become(passTime(breaker, policy, nowMs));
      const { state, sinceMs } = breaker;
      return { name, state, sinceMsAgo: nowMs - sinceMs, ...recentCalls(breaker, policy, nowMs) };
    },
  };
}

/**
 * What a failure says of the provider. One that refuses the request (4xx), or asks for fewer (429), is well; whatever is
 * none of these is a fault of ours.
 */
function outcomeOf(error: unknown, { signal, deadline }: Attempt, fairAt: number): CallOutcome {
  if (!(error instanceof DomainFailure)) return 'ignored';
  // The caller gave up, for reasons of its own: no time-out of the call.
  if (signal.aborted && !isTimeout(signal.reason)) return 'ignored';
  if (error.code === 'provider_unavailable') return error.isWell ? 'ignored' : 'failed';
  if (error.code !== 'provider_timeout') return 'ignored';
  return (deadline ?? Infinity) < fairAt ? 'ignored' : 'failed';
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === 'TimeoutError';
}
