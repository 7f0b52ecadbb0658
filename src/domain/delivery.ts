/** What one attempt to deliver an event came to, and what follows from it. Pure. */
import type { ConsumerMode } from './consumers.ts';

/** Why an attempt failed: an answer's status, or how there came to be none. Dead letters are grouped by it. */
export type FailureCause =
  | `http_${number}`
  /** No complete answer within the time-out. */
  | 'timeout'
  | 'dns_failed'
  | 'connection_refused'
  | 'connection_broken'
  | 'tls_failed'
  /** The target's address is one that webhooks may not go to. */
  | 'address_refused'
  /** The answer is no HTTP, or larger than is read. */
  | 'bad_answer'
  | 'broker_unavailable'
  /** The broker took the message and found no queue for it. */
  | 'unroutable'
  | 'broker_refused';

/** Why a delivery lies among the dead letters: its last failure, or that its consumer was deleted. */
export type DeadCause = FailureCause | 'consumer_deleted';

/** What one attempt came to; `answer` is its first 4 KiB as text. */
export interface AttemptResult {
  readonly outcome: 'delivered' | 'failed';
  /** Of a failed one. */
  readonly cause: FailureCause | null;
  readonly status: number | null;
  readonly answer: string | null;
  /** In words, for a person. */
  readonly error: string | null;
  /** How long the consumer asked us to wait, in milliseconds. */
  readonly retryAfterMs: number | null;
  readonly startedAt: Date;
  readonly durationMs: number;
}

export interface DeliveryPolicy {
  /** Failures that count against an event before it is dead-lettered. */
  readonly maxStrikes: number;
  readonly backoffBaseMs: number;
  readonly backoffCapMs: number;
  /** The longest `Retry-After` that is honored. */
  readonly longestRetryAfterMs: number;
}

/** What becomes of a delivery after an attempt. */
export type Verdict =
  | { readonly next: 'delivered' }
  | {
      readonly next: 'retry' | 'dead';
      readonly cause: FailureCause;
      readonly strikes: number;
      /** Before this delivery is tried again; of no meaning for `dead`. */
      readonly delayMs: number;
      /** How long all of the consumer's deliveries wait, because it said that it is overloaded; null: they do not. */
      readonly throttleMs: number | null;
      /** Whether it asked to be sent nothing any more. */
      readonly disables: boolean;
      /** What the failure says about the consumer, beyond this event. */
      readonly blames: 'nothing' | 'answer' | 'connection';
    };

/** Answers that mean "not now", whatever the event. */
const overloaded: ReadonlySet<string> = new Set(['http_429', 'http_502', 'http_503', 'http_504']);
/** Failures without an answer that no event can be the reason of. */
const unreachable: ReadonlySet<string> = new Set([
  'dns_failed',
  'connection_refused',
  'connection_broken',
  'tls_failed',
  'address_refused',
  'broker_unavailable',
]);

/**
 * Judges an attempt. A failure is a strike against the event only if the event may be the reason: not while the
 * consumer is being probed, and not where it could not be reached or said that it is overloaded. So an outage of any
 * length sends nothing to the dead letters, and a poison event gets there while all others pass.
 */
export function judge(
  delivery: { readonly strikes: number; readonly mode: ConsumerMode },
  result: AttemptResult,
  policy: DeliveryPolicy,
  random: number,
): Verdict {
  if (result.outcome === 'delivered') return { next: 'delivered' };
  const cause = result.cause ?? 'bad_answer';
  const gone = cause === 'http_410';
  const isStrike = delivery.mode !== 'probing' && !gone && !overloaded.has(cause) && !unreachable.has(cause);
  const strikes = delivery.strikes + (isStrike ? 1 : 0);
  const asked = result.retryAfterMs === null ? null : Math.min(result.retryAfterMs, policy.longestRetryAfterMs);
  const ownDelayMs = backoff(strikes, policy, random);
  const isThrottling = overloaded.has(cause);
  return {
    next: isStrike && strikes >= policy.maxStrikes ? 'dead' : 'retry',
    cause,
    strikes,
    delayMs: Math.max(asked ?? 0, ownDelayMs),
    throttleMs: isThrottling ? (asked ?? ownDelayMs) : null,
    disables: gone,
    // 429 is the word of a consumer that works; 410 has its own consequence.
    blames: unreachable.has(cause) ? 'connection' : gone || cause === 'http_429' ? 'nothing' : 'answer',
  };
}

/** The wait after the `strikes`-th failure: exponential by four, half of it jitter (`random` in [0, 1)). */
export function backoff(
  strikes: number,
  { backoffBaseMs, backoffCapMs }: Pick<DeliveryPolicy, 'backoffBaseMs' | 'backoffCapMs'>,
  random: number,
): number {
  const full = Math.min(backoffCapMs, backoffBaseMs * 4 ** Math.max(0, strikes - 1));
  return Math.max(1, Math.round(full / 2 + (full / 2) * random));
}
