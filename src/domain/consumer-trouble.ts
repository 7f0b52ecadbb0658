/**
 * What to do about a consumer in trouble. Pure: the workflow `consumer-<id>` observes, asks here, and acts. Being asked
 * in a workflow, it is replayed: a rule that changes does so under `patched()` there.
 */
import type { ConsumerMode, ConsumerState } from './consumers.ts';

/** What PostgreSQL knows of the trouble now. */
export interface TroubleObservation {
  /** Whether this trouble, by its epoch, is still there. */
  readonly isCurrent: boolean;
  readonly state: ConsumerState;
  readonly mode: ConsumerMode;
  /** Successes since the last failure. */
  readonly successes: number;
  /** Since the last success; no more than count. */
  readonly failures: number;
  readonly relapses: number;
  /** Deliveries under way at a time while it recovers; null while it does not. */
  readonly sendLimit: number | null;
  readonly maxInFlight: number;
  /** Deliveries that are due and were due for more than a few seconds: what trouble left behind. */
  readonly leftBehind: number;
  /** Whether anything at all is to be sent to it, now or later. */
  readonly hasPending: boolean;
  /** How long it fails without a success, since it was last paused, disabled, or sent nothing for hours; null: it does not. */
  readonly failingForMs: number | null;
  /** Since the last failure; null if there was none. */
  readonly failedMsAgo: number | null;
}

export interface TroublePolicy {
  readonly firstProbeMs: number;
  readonly longestProbeMs: number;
  /** Between two looks while it recovers. */
  readonly recoveryTickMs: number;
  /** How long to wait for news while there is nothing to do. */
  readonly idleMs: number;
  /** After failing for this long without a success it is disabled, and a person has to say when to go on. */
  readonly giveUpMs: number;
}

/** What was done about it so far. Times are in milliseconds by one clock, that of `Circumstances`. */
export interface TroubleMemory {
  /** Probes since it last worked. */
  readonly probes: number;
  /** Before this time it is neither probed nor sent more: news come with every failure, and must not hasten the next. */
  readonly restUntil: number;
}

export const nothingTried: TroubleMemory = { probes: 0, restUntil: 0 };

export interface Circumstances {
  readonly now: number;
  /** In [0, 1), the jitter. */
  readonly random: number;
}

export type Move =
  /** The trouble is another one's, or over. */
  | { readonly move: 'leave' }
  /** Nothing to do until there are news, or for `waitMs`. */
  | { readonly move: 'wait'; readonly waitMs: number }
  /** Have one delivery sent, and look at what came of it on news or after `waitMs`. */
  | { readonly move: 'probe'; readonly waitMs: number }
  /** Let `sendLimit` deliveries be under way at a time, and look again after `waitMs`, whatever the news. */
  | { readonly move: 'open'; readonly sendLimit: number; readonly waitMs: number }
  /** As before for `waitMs`, whatever the news: each of its deliveries makes some. */
  | { readonly move: 'hold'; readonly waitMs: number }
  /** Ask to end it. Refused where a new failure came in between: look again after `waitMs`. */
  | { readonly move: 'end'; readonly waitMs: number }
  | { readonly move: 'give_up' };

/** How many ticks to let it be once it is sent all that it takes at a time: a large backlog lasts for hours. */
const TICKS_AT_FULL_RATE = 5;
/** A failure is recent for so many of the longest intervals: one probe may come late, or be answered slowly. */
const RECENT_PROBES = 5;

/** The next move. */
export function nextMove(
  seen: TroubleObservation,
  memory: TroubleMemory,
  policy: TroublePolicy,
  { now, random }: Circumstances,
): Move {
  if (!seen.isCurrent || seen.mode === 'normal') return { move: 'leave' };
  if (seen.state !== 'enabled') return { move: 'wait', waitMs: policy.idleMs };
  // Nothing can prove that it is back, and nothing is held up: what failed is remembered, and begins the next trouble.
  if (!seen.hasPending) return { move: 'end', waitMs: policy.recoveryTickMs };
  const restMs = Math.max(0, memory.restUntil - now);
  if (seen.mode === 'recovering') return whileRecovering(seen, restMs, policy);

  if (seen.successes > 0) return { move: 'open', sendLimit: 1, waitMs: policy.recoveryTickMs };
  if (isGone(seen, policy)) return { move: 'give_up' };
  if (restMs > 0) return { move: 'wait', waitMs: restMs };
  const full = Math.min(policy.longestProbeMs, policy.firstProbeMs * 2 ** Math.min(memory.probes, 30));
  return { move: 'probe', waitMs: Math.max(1, Math.round(full * (0.75 + 0.5 * random))) };
}

/** One that was sent nothing of late has not failed: it is tried once more before anything is decided. */
function isGone({ failingForMs, failedMsAgo }: TroubleObservation, policy: TroublePolicy): boolean {
  if (failingForMs === null || failedMsAgo === null) return false;
  return failingForMs >= policy.giveUpMs && failedMsAgo <= RECENT_PROBES * policy.longestProbeMs;
}

function whileRecovering(seen: TroubleObservation, restMs: number, policy: TroublePolicy): Move {
  const { failures, leftBehind, maxInFlight } = seen;
  const { recoveryTickMs, longestProbeMs } = policy;
  if (leftBehind === 0) {
    // What failed waits its own time, which may be hours.
    return failures === 0 ? { move: 'end', waitMs: recoveryTickMs } : { move: 'wait', waitMs: longestProbeMs };
  }
  if (restMs > 0) return { move: 'hold', waitMs: restMs };
  const limit = seen.sendLimit ?? 1;
  const sendLimit = failures > 0 ? Math.max(1, Math.floor(limit / 2)) : Math.min(maxInFlight, limit * 2);
  if (sendLimit !== seen.sendLimit) return { move: 'open', sendLimit, waitMs: recoveryTickMs };
  return { move: 'hold', waitMs: failures > 0 ? recoveryTickMs : recoveryTickMs * TICKS_AT_FULL_RATE };
}

/** What to remember once `move` is made at `now`. */
export function remember(memory: TroubleMemory, seen: TroubleObservation, move: Move, now: number): TroubleMemory {
  // Somebody who enables it again wants to see at once whether it is back.
  if (seen.state !== 'enabled') return { ...memory, probes: 0, restUntil: 0 };
  const known = seen.successes > 0 ? { ...memory, probes: 0 } : memory;
  if (move.move === 'probe') return { ...known, probes: known.probes + 1, restUntil: now + move.waitMs };
  return move.move === 'open' ? { ...known, restUntil: now + move.waitMs } : known;
}
