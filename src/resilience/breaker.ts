/**
 * A circuit breaker as data: no clock, no timer, no call. Whoever holds one passes the time in, in milliseconds of any
 * clock that never runs backwards, and keeps what comes out. Each function changes the state once at most.
 */
import type { ForcedState } from '../domain/breakers.ts';
import { type CallWindow, type Counts, counted, countsOf, emptyWindow } from './call-window.ts';

export interface BreakerPolicy {
  /** The rate decides from so many calls within the window on. */
  readonly minimumCalls: number;
  /** Opens where at least this share of the window's calls failed, 0 to 1. */
  readonly failureRate: number;
  readonly windowMs: number;
  /** Where there are fewer calls: so many failures in a row, over so long, none of them longer after the last one. */
  readonly inARow: { readonly failures: number; readonly overMs: number; readonly gapMs: number };
  /** The first opening lasts `openMs`, each that follows on failed probes twice as long, up to `longestOpenMs`. */
  readonly openMs: number;
  readonly longestOpenMs: number;
  /** At a time while half-open; and so many must succeed to close it. */
  readonly probes: number;
  /** A probe that has not ended by then lost its place. */
  readonly probeMs: number;
}

/**
 * - fewer than 10 calls say nothing of a rate; half of them failing is an outage, no noise
 * - 30 s are some calls even of a quiet shop, and soon forgotten
 * - in a row: three failures are no accident once they span 10 s. Who calls less than once a minute is not helped by a
 *   breaker, which is never open for longer than that
 * - 5 s spare a provider that restarts the crowd; 60 s are what an order may wait for nothing once it is back
 * - a probe has as long as the longest attempt at a provider
 */
export const breakerDefaults: BreakerPolicy = {
  minimumCalls: 10,
  failureRate: 0.5,
  windowMs: 30_000,
  inARow: { failures: 3, overMs: 10_000, gapMs: 60_000 },
  openMs: 5_000,
  longestOpenMs: 60_000,
  probes: 3,
  probeMs: 15_000,
};

/** While no time is known by which a call may be let through. */
const FORCED_RETRY_MS = 30_000;
const PROBING_RETRY_MS = 1_000;

interface Streak {
  readonly failures: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

type Phase =
  | { readonly state: 'closed'; readonly window: CallWindow; readonly streak: Streak | undefined }
  | { readonly state: 'open'; readonly untilMs: number; readonly openings: number }
  | {
      readonly state: 'half-open';
      /** When each probe that is under way began, by its ticket. */
      readonly probes: ReadonlyMap<number, number>;
      readonly successes: number;
      readonly openings: number;
    }
  | { readonly state: 'forced-open' }
  | { readonly state: 'forced-closed' };

export type Breaker = Phase & {
  /** Rises with each change of state: what began before it changes nothing after it. */
  readonly generation: number;
  readonly sinceMs: number;
  /** Why it came to this state. */
  readonly cause: string;
  readonly nextTicket: number;
};

/** Of one call that was let through. */
export interface Ticket {
  readonly generation: number;
  readonly id: number;
}

/** `ignored`: says nothing of the provider, as a refusal of what was asked, or a caller that left. */
export type CallOutcome = 'succeeded' | 'failed' | 'ignored';

export type Admitted =
  | { readonly breaker: Breaker; readonly ticket: Ticket }
  | { readonly breaker: Breaker; readonly ticket: undefined; readonly retryAfterMs: number };

export function createBreaker(nowMs: number): Breaker {
  return { state: 'closed', ...fresh, generation: 0, sinceMs: nowMs, cause: 'began', nextTicket: 0 };
}

const fresh = { window: emptyWindow, streak: undefined } as const;

/** Asks for leave to call. `retryAfterMs` is when to ask again. */
export function admit(before: Breaker, policy: BreakerPolicy, nowMs: number): Admitted {
  const breaker = passTime(before, policy, nowMs);
  const refused = (retryAfterMs: number): Admitted => ({ breaker, ticket: undefined, retryAfterMs });
  const { generation, nextTicket: id } = breaker;
  const ticket = { generation, id };
  switch (breaker.state) {
    case 'closed':
    case 'forced-closed':
      return { breaker: { ...breaker, nextTicket: id + 1 }, ticket };
    case 'open':
      return refused(breaker.untilMs - nowMs);
    case 'forced-open':
      return refused(FORCED_RETRY_MS);
    case 'half-open': {
      if (breaker.probes.size >= policy.probes) return refused(PROBING_RETRY_MS);
      const probes = new Map(breaker.probes).set(id, nowMs);
      return { breaker: { ...breaker, probes, nextTicket: id + 1 }, ticket };
    }
    default:
      return breaker satisfies never;
  }
}

/** What became of a call. One of an earlier generation, or whose place as a probe is taken, changes nothing. */
export function settle(
  breaker: Breaker,
  policy: BreakerPolicy,
  ticket: Ticket,
  outcome: CallOutcome,
  nowMs: number,
): Breaker {
  if (ticket.generation !== breaker.generation) return breaker;
  if (breaker.state === 'closed') return outcome === 'ignored' ? breaker : count(breaker, policy, outcome, nowMs);
  if (breaker.state !== 'half-open') return breaker;

  const began = breaker.probes.get(ticket.id);
  if (began === undefined || nowMs - began >= policy.probeMs) return breaker;
  const probes = new Map(breaker.probes);
  probes.delete(ticket.id);
  if (outcome === 'ignored') return { ...breaker, probes };
  if (outcome === 'failed') return open(breaker, policy, breaker.openings, 'a probe failed', nowMs);
  const successes = breaker.successes + 1;
  if (successes < policy.probes) return { ...breaker, probes, successes };
  return { ...changed(breaker, `${successes} probes succeeded`, nowMs), state: 'closed', ...fresh };
}

/** What time alone changes: an opening ends, and so do probes that hang. */
export function passTime(breaker: Breaker, policy: BreakerPolicy, nowMs: number): Breaker {
  if (breaker.state === 'open' && nowMs >= breaker.untilMs) {
    const { openings } = breaker;
    const base = changed(breaker, 'time to try again', nowMs);
    return { ...base, state: 'half-open', probes: new Map(), successes: 0, openings };
  }
  if (breaker.state !== 'half-open') return breaker;
  const probes = new Map([...breaker.probes].filter(([, began]) => nowMs - began < policy.probeMs));
  return probes.size === breaker.probes.size ? breaker : { ...breaker, probes };
}

/** What an operator wants. `auto` begins afresh where something was forced, and changes nothing elsewhere. */
export function force(breaker: Breaker, wanted: ForcedState, reason: string, nowMs: number): Breaker {
  const isForced = breaker.state === 'forced-open' || breaker.state === 'forced-closed';
  if (wanted === 'auto') {
    return isForced ? { ...changed(breaker, reason, nowMs), state: 'closed', ...fresh } : breaker;
  }
  const state = `forced-${wanted}` as const;
  return breaker.state === state ? breaker : { ...changed(breaker, reason, nowMs), state };
}

/** The calls that count now. */
export function recentCalls(breaker: Breaker, policy: BreakerPolicy, nowMs: number): Counts {
  return breaker.state === 'closed' ? countsOf(breaker.window, policy.windowMs, nowMs) : { calls: 0, failures: 0 };
}

function count(
  breaker: Extract<Breaker, { state: 'closed' }>,
  policy: BreakerPolicy,
  outcome: Exclude<CallOutcome, 'ignored'>,
  nowMs: number,
): Breaker {
  const window = counted(breaker.window, outcome === 'failed', policy.windowMs, nowMs);
  // A success never opens it, whatever came before.
  if (outcome === 'succeeded') return { ...breaker, window, streak: undefined };

  const { calls, failures } = countsOf(window, policy.windowMs, nowMs);
  if (calls >= policy.minimumCalls && failures >= policy.failureRate * calls) {
    return open(breaker, policy, 0, `${failures} of ${calls} calls failed`, nowMs);
  }
  const { inARow } = policy;
  const last = breaker.streak;
  const goesOn = last !== undefined && nowMs - last.lastMs <= inARow.gapMs;
  const streak = { failures: goesOn ? last.failures + 1 : 1, firstMs: goesOn ? last.firstMs : nowMs, lastMs: nowMs };
  if (streak.failures >= inARow.failures && nowMs - streak.firstMs >= inARow.overMs) {
    return open(breaker, policy, 0, `${streak.failures} calls in a row failed`, nowMs);
  }
  return { ...breaker, window, streak };
}

/** `openings`: how many there were since it was last closed. */
function open(breaker: Breaker, policy: BreakerPolicy, openings: number, cause: string, nowMs: number): Breaker {
  const forMs = Math.min(policy.openMs * 2 ** openings, policy.longestOpenMs);
  return { ...changed(breaker, cause, nowMs), state: 'open', untilMs: nowMs + forMs, openings: openings + 1 };
}

/** What every change of state brings with it; nothing of the old state but its count of tickets goes on. */
function changed({ generation, nextTicket }: Breaker, cause: string, nowMs: number) {
  return { generation: generation + 1, sinceMs: nowMs, cause, nextTicket };
}
