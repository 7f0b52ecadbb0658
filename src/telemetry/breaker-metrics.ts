import { type BreakerName, type BreakerState, breakerNames, breakerStates } from '../domain/breakers.ts';
import type { GuardObserver } from '../resilience/guard.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

/** Shows each breaker's state from the beginning, counts what is refused, and logs each change of state. */
export function breakerMetrics(metrics: Metrics, log: Log): GuardObserver {
  const show = (breaker: BreakerName, now: BreakerState): void => {
    for (const state of breakerStates) metrics.set('breakerState', { breaker, state }, state === now ? 1 : 0);
  };
  for (const breaker of breakerNames) {
    show(breaker, 'closed');
    metrics.set('callsInFlight', { breaker }, 0);
  }
  return {
    refused: (breaker, by) => metrics.count('callsRefused', { breaker, by }),
    inFlight: (breaker, calls) => metrics.set('callsInFlight', { breaker }, calls),
    transition(breaker, { from, to, cause }) {
      show(breaker, to);
      metrics.count('breakerTransitions', { breaker, state: to });
      const isWorse = to === 'open' || to === 'forced-open';
      log[isWorse ? 'warn' : 'info']({ breaker, from, to, cause }, 'breaker changed its state');
    },
  };
}
