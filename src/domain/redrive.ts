/**
 * How dead letters are sent again. Pure: the workflow `redrive-<id>` looks, asks here, and acts. Being asked in a
 * workflow, it is replayed: a rule that changes does so under `patched()` there.
 */
import type { RedriveView } from './consumer-ports.ts';

/** What a redrive's workflow needs to know of it: no filter and no names, which do not belong into a history. */
export type RedriveProgress = Pick<
  RedriveView,
  'state' | 'ratePerSecond' | 'total' | 'sent' | 'delivered' | 'deadAgain'
>;

export interface RedrivePolicy {
  /** How many are sent first, to see whether any arrives. */
  readonly canaries: number;
  /** How long to wait for the first of them to arrive, before all the others are left alone. */
  readonly canaryWaitMs: number;
  readonly firstLookMs: number;
  readonly longestLookMs: number;
  /** How long to wait to be told, while a person has paused it. */
  readonly idleMs: number;
}

/** What was done so far. Times are in milliseconds by one clock. */
export interface RedriveMemory {
  /** When the wait for the canaries is over; null while they are not out, or it is paused. */
  readonly canaryUntil: number | null;
  /** Looks at the canaries so far. */
  readonly looks: number;
  /** The next ones are not sent before this time. */
  readonly restUntil: number;
  /** How often, one after the other, there was nothing to send. */
  readonly inVain: number;
}

export const nothingSent: RedriveMemory = { canaryUntil: null, looks: 0, restUntil: 0, inVain: 0 };

export type RedriveMove =
  /** It is at its end. */
  | { readonly move: 'leave'; readonly end: 'completed' | 'failed' | 'stopped' }
  /** Nothing to do until told, or for `waitMs`. */
  | { readonly move: 'wait'; readonly waitMs: number }
  /** Send the next `count`; the ones after that no sooner than after `waitMs`. */
  | { readonly move: 'send'; readonly count: number; readonly waitMs: number }
  /** Go on to `state`, if nobody paused or stopped it, and look again after `waitMs`. */
  | { readonly move: 'advance'; readonly state: 'running' | 'failed' | 'completed'; readonly waitMs: number };

/** Sent by one transaction at most: at a higher rate there are more such in a second. */
const LARGEST_BATCH = 500;
/** A letter that a person is changing is passed over: that there was nothing to send once does not prove it. */
const OFTEN_ENOUGH_IN_VAIN = 2;

/** The next move at `now`. */
export function nextRedriveMove(
  seen: RedriveProgress,
  memory: RedriveMemory,
  policy: RedrivePolicy,
  now: number,
): RedriveMove {
  switch (seen.state) {
    case 'stopped':
    case 'failed':
    case 'completed':
      return { move: 'leave', end: seen.state };
    case 'paused':
      return { move: 'wait', waitMs: policy.idleMs };
    case 'canary':
      return withCanaries(seen, memory, policy, now);
    case 'running': {
      if (isAllSent(seen, memory)) return { move: 'advance', state: 'completed', waitMs: policy.firstLookMs };
      if (memory.restUntil > now) return { move: 'wait', waitMs: memory.restUntil - now };
      const count = Math.max(1, Math.min(LARGEST_BATCH, Math.floor(seen.ratePerSecond)));
      return { move: 'send', count, waitMs: Math.max(1, Math.round((1_000 * count) / seen.ratePerSecond)) };
    }
    default:
      return seen.state satisfies never;
  }
}

function withCanaries(seen: RedriveProgress, memory: RedriveMemory, policy: RedrivePolicy, now: number): RedriveMove {
  const { sent, delivered, deadAgain } = seen;
  const { firstLookMs, longestLookMs, canaryWaitMs } = policy;
  const missing = policy.canaries - sent;
  if (missing > 0 && !isAllSent(seen, memory)) {
    if (memory.restUntil > now) return { move: 'wait', waitMs: memory.restUntil - now };
    return { move: 'send', count: missing, waitMs: firstLookMs };
  }
  // None to try it with: all were retried or discarded one by one meanwhile.
  if (delivered > 0 || sent === 0) return { move: 'advance', state: 'running', waitMs: firstLookMs };
  const leftMs = (memory.canaryUntil ?? now + canaryWaitMs) - now;
  if (deadAgain >= sent || leftMs <= 0) return { move: 'advance', state: 'failed', waitMs: firstLookMs };
  return { move: 'wait', waitMs: Math.min(leftMs, longestLookMs, firstLookMs * 2 ** Math.min(memory.looks, 30)) };
}

function isAllSent({ sent, total }: RedriveProgress, { inVain }: RedriveMemory): boolean {
  return sent >= total || inVain >= OFTEN_ENOUGH_IN_VAIN;
}

/** What to remember once `move` is made at `now`; `sent`: how many a `send` found. */
export function rememberRedrive(
  memory: RedriveMemory,
  seen: RedriveProgress,
  { move, policy, now, sent = 0 }: { move: RedriveMove; policy: RedrivePolicy; now: number; sent?: number },
): RedriveMemory {
  // Who resumes it wants it to be tried again; and what was not there while it was paused proves nothing.
  if (seen.state === 'paused') return { ...nothingSent, restUntil: memory.restUntil };
  if (move.move === 'send') {
    return { ...memory, restUntil: now + move.waitMs, inVain: sent === 0 ? memory.inVain + 1 : 0 };
  }
  if (seen.state !== 'canary' || move.move !== 'wait') return memory;
  return { ...memory, looks: memory.looks + 1, canaryUntil: memory.canaryUntil ?? now + policy.canaryWaitMs };
}
