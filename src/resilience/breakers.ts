/** A process's breakers, one with its bulkhead for each provider, and how they keep in touch with the fleet's. */
import { type BreakerName, type BreakerStore, type ToldTransition, breakerNames } from '../domain/breakers.ts';
import { type BreakerPolicy, breakerDefaults } from './breaker.ts';
import { limitsOf } from './bulkhead.ts';
import { type Guard, type GuardObserver, type HeldGuard, createGuard } from './guard.ts';

export interface BreakersOptions {
  /** What the process is told from the others by: host and pid. */
  readonly worker: string;
  /** Calls of one provider at a time. */
  readonly concurrency: number;
  readonly observer: GuardObserver;
  readonly policy?: BreakerPolicy;
  readonly now?: () => number;
  readonly random?: () => number;
}

export interface Breakers {
  guard(name: BreakerName): Guard;
  /**
   * Does as operators want and tells how the breakers are. Throws `store_unavailable`, then they go on by themselves,
   * forced as they were, and what happens is told once the store is back.
   */
  sync(store: Pick<BreakerStore, 'forced' | 'report'>): Promise<void>;
}

/** Told late, these are history: the newest are kept while the store is away. */
const MOST_UNTOLD = 100;

export function createBreakers(options: BreakersOptions): Breakers {
  const { worker, concurrency, observer, policy = breakerDefaults } = options;
  const { now = () => performance.now(), random = Math.random } = options;
  let untold: (Omit<ToldTransition, 'msAgo'> & { readonly atMs: number })[] = [];
  const told: GuardObserver = {
    refused: (name, by) => observer.refused(name, by),
    inFlight: (name, calls) => observer.inFlight(name, calls),
    transition(name, transition) {
      untold = [...untold, { name, ...transition, atMs: now() }].slice(-MOST_UNTOLD);
      observer.transition(name, transition);
    },
  };
  const shared = { policy, bulkhead: limitsOf(concurrency), observer: told, now, random };
  const guards = Object.fromEntries(breakerNames.map((name) => [name, createGuard(name, shared)])) as Readonly<
    Record<BreakerName, HeldGuard>
  >;

  return {
    guard: (name) => guards[name],
    async sync(store) {
      // By itself an open breaker becomes half-open only here and at the next call.
      for (const name of breakerNames) guards[name].look();
      const wanted = await store.forced();
      for (const name of breakerNames) {
        const { state, reason, actor } = wanted[name] ?? nobody;
        guards[name].force(state, `${actor ?? 'an operator'}: ${reason ?? 'no longer forced'}`);
      }
      const telling = untold;
      const transitions = telling.map(({ atMs, ...transition }) => ({ ...transition, msAgo: now() - atMs }));
      const breakers = breakerNames.map((name) => guards[name].look());
      await store.report(worker, breakers, transitions);
      untold = untold.filter((transition) => !telling.includes(transition));
    },
  };
}

const nobody = { state: 'auto', reason: null, actor: null } as const;
