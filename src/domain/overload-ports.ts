/** What keeps the API from taking more than can be done in time, and one caller from taking what others need. */

export type Verdict = { readonly allowed: true } | { readonly allowed: false; readonly retryAfterMs: number };

/** Rates of callers, shared by all API processes. */
export interface RateLimits {
  /** One request of that caller. Lets all pass while what is shared cannot be reached: that is an outage of its own. */
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
  /** 0: all are admitted; 1: background requests are not; 2: nothing but critical ones is. */
  readonly pressure: 0 | 1 | 2;
  /** How long the order that waits longest for its turn has waited, as last seen. */
  readonly backlogAgeMs: number;
}
