/** What keeps the API from taking more than can be done in time, and one caller from taking what others need. */

export type Verdict = { readonly allowed: true } | { readonly allowed: false; readonly retryAfterMs: number };

/** Rates of callers, shared by all API processes. */
export interface RateLimits {
  /** One request of that caller. While what is shared cannot be reached, each process allows as much by itself. */
  take(caller: string): Promise<Verdict>;
  /** Whether an address may try once more to say who it is; asked before the try. Of this process alone. */
  mayTry(address: string): Verdict;
  /** It could not. */
  failed(address: string): void;
}

/** When a request may be refused so that others meet their objective: `background` first, `critical` never. */
export type Priority = 'critical' | 'normal' | 'background';

export interface Admission {
  /** Decides at once, from what was last seen of the backlog. */
  admit(priority: Priority): Verdict;
  /**
   * 0: all are admitted; 1: background requests are not, nor, for a while after 2, each of the new orders; 2: nothing but
   * critical ones is.
   */
  readonly pressure: 0 | 1 | 2;
  /** How long the order that waits longest for its turn has waited, as last seen. */
  readonly backlogAgeMs: number;
}

/** What waits for its turn with us, and for nothing else. */
export interface Backlog {
  /** How long the order that is next has waited for a worker, in milliseconds; 0 if none waits. */
  readonly ageMs: number;
  /** How many wait, counted up to `MOST_WAITING`: as many or more. */
  readonly waiting: number;
}

export const MOST_WAITING = 10_000;

export interface Backlogs {
  /** One look, in a bounded time however many orders there are. Throws `store_unavailable`. */
  read(): Promise<Backlog>;
}

export interface Rate {
  readonly perSecond: number;
  /** What a caller may have saved up. */
  readonly burst: number;
}

/** What callers have left, shared by the fleet. Throws `store_unavailable`. */
export interface Rates {
  /**
   * Takes up to `wanted` requests off what the caller has left, and not more than half of it, so that other processes
   * find some too; at least one if there is one. Resolves with how many.
   */
  lease(caller: string, wanted: number, rate: Rate): Promise<number>;
  /** Forgets callers that have saved up all that they may. Resolves with how many. */
  prune(rate: Rate): Promise<number>;
}
