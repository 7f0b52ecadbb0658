/** What to do about a consumer in trouble. Pure: the workflow `consumer-<id>` observes, asks here, and acts. */
import type { ConsumerMode, ConsumerState } from './consumers.ts';

/** What PostgreSQL knows of the trouble now. */
export interface TroubleObservation {
  /** Whether this trouble, by its epoch, is still there. */
  readonly isCurrent: boolean;
  readonly state: ConsumerState;
  readonly mode: ConsumerMode;
  /** Successes since the last failure. */
  readonly successes: number;
  /** Orders that fail, and failures to reach it, since the last success. */
  readonly failures: number;
  readonly relapses: number;
  /** Deliveries under way at a time while it recovers; null while it does not. */
  readonly sendLimit: number | null;
  readonly maxInFlight: number;
  /** Deliveries that are due and were due for more than a few seconds: what trouble left behind. */
  readonly leftBehind: number;
  /** How long it has been tried, without the time in which it was paused or disabled. */
  readonly triedForMs: number;
}

export interface TroublePolicy {
  readonly firstProbeMs: number;
  readonly longestProbeMs: number;
  /** Between two looks while it recovers. */
  readonly recoveryTickMs: number;
  /** How long to wait for news while there is nothing to do. */
  readonly idleMs: number;
  /** After this it is disabled, and a person has to say when to go on. */
  readonly giveUpMs: number;
}

export type Move =
  /** The trouble is another one's, or over. */
  | { readonly move: 'leave' }
  /** Nothing to do until there are news, or for `waitMs`. */
  | { readonly move: 'wait'; readonly waitMs: number }
  /** Have one delivery sent, and look at what came of it on news or after `waitMs`. */
  | { readonly move: 'probe'; readonly waitMs: number }
  | { readonly move: 'open'; readonly sendLimit: number; readonly waitMs: number }
  /** Ask to end it; refused where a new failure came in between. */
  | { readonly move: 'end' }
  | { readonly move: 'give_up' };

/** The next move. `probes` counts those since it last worked; `random` in [0, 1) is the jitter. */
export function nextMove(seen: TroubleObservation, probes: number, policy: TroublePolicy, random: number): Move {
  if (!seen.isCurrent || seen.mode === 'normal') return { move: 'leave' };
  if (seen.state !== 'enabled') return { move: 'wait', waitMs: policy.idleMs };
  if (seen.mode === 'probing') {
    if (seen.successes > 0) return { move: 'open', sendLimit: 1, waitMs: policy.recoveryTickMs };
    if (seen.triedForMs >= policy.giveUpMs) return { move: 'give_up' };
    const full = Math.min(policy.longestProbeMs, policy.firstProbeMs * 2 ** Math.min(probes, 30));
    return { move: 'probe', waitMs: Math.max(1, Math.round(full * (0.75 + 0.5 * random))) };
  }
  const { sendLimit, maxInFlight, failures, leftBehind } = seen;
  const limit = sendLimit ?? 1;
  if (failures > 0)
    return { move: 'open', sendLimit: Math.max(1, Math.floor(limit / 2)), waitMs: policy.recoveryTickMs };
  if (leftBehind === 0) return { move: 'end' };
  return { move: 'open', sendLimit: Math.min(maxInFlight, limit * 2), waitMs: policy.recoveryTickMs };
}
