/** The circuit breakers around providers, as people see and force them. The state machine is resilience/breaker.ts. */

/** One for each provider port. Mails have none: a consumer's trouble is its breaker, for the whole fleet. */
export const breakerNames = ['payment', 'payment-fallback', 'carrier', 'quotes', 'risk'] as const;
export type BreakerName = (typeof breakerNames)[number];

export const breakerStates = ['closed', 'open', 'half-open', 'forced-open', 'forced-closed'] as const;
export type BreakerState = (typeof breakerStates)[number];

/** `auto`: each worker's breaker decides for itself. */
export type ForcedState = 'auto' | 'open' | 'closed';

export interface Forcing {
  readonly state: ForcedState;
  readonly reason: string | null;
  readonly actor: string | null;
  readonly at: string | null;
}

/** One process's breaker as it last told. */
export interface BreakerReport {
  readonly name: BreakerName;
  /** The process: host and pid. */
  readonly worker: string;
  readonly state: BreakerState;
  /** When it came to that state, ISO 8601. */
  readonly since: string;
  /** In the window: calls that count, and those of them that failed or were slow. */
  readonly calls: number;
  readonly failures: number;
}

export interface BreakerTransition {
  readonly at: string;
  readonly worker: string;
  readonly from: BreakerState;
  readonly to: BreakerState;
  /** Such as `7 of 10 calls failed`, or an operator's reason. */
  readonly cause: string;
}

/** How a process tells of its breakers: by ages, for the store's clock alone makes times of them. */
export type ToldBreaker = Omit<BreakerReport, 'worker' | 'since'> & { readonly sinceMsAgo: number };
export type ToldTransition = Omit<BreakerTransition, 'worker' | 'at'> & {
  readonly name: BreakerName;
  readonly msAgo: number;
};

export interface BreakerView {
  readonly name: BreakerName;
  readonly forced: Forcing;
  readonly workers: readonly (BreakerReport & { readonly toldAt: string })[];
  /** The newest, at most 20. */
  readonly transitions: readonly BreakerTransition[];
}

/** What the fleet shares of its breakers. Throws `DomainFailure` and nothing else on purpose. */
export interface BreakerStore {
  /** What operators want, for those that are not `auto`. */
  forced(): Promise<Readonly<Partial<Record<BreakerName, Forcing>>>>;
  force(
    name: BreakerName,
    forcing: { readonly state: ForcedState; readonly reason: string; readonly actor: string; readonly auditId: string },
  ): Promise<BreakerView>;
  /** Replaces what this worker told before, and adds the transitions. */
  report(worker: string, breakers: readonly ToldBreaker[], transitions: readonly ToldTransition[]): Promise<void>;
  /** All, in the order of their names' list. Reports older than a minute are left out: their worker is gone. */
  list(): Promise<readonly BreakerView[]>;
  /** How long each has been forced, in milliseconds; those that are not are left out. */
  forcedMs(): Promise<Readonly<Partial<Record<BreakerName, number>>>>;
}
