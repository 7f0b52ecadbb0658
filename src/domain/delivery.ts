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
  | 'broker_refused'
  /** The mail server refused this mail or its recipient: 5xx for good, 4xx for now, as a full or a greylisted mailbox. */
  | `smtp_${number}`
  /** The mail server takes no mail from us at the moment: it is overloaded, does not let us in, or is not configured. */
  | 'mail_unavailable'
  /** The mail server refused by its rules, and says not of whom: of this mail, or of us. */
  | 'mail_refused';

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

/** Answers that mean "not now" and make all of the consumer's deliveries wait. */
const overloaded: ReadonlySet<string> = new Set(['http_429', 'http_502', 'http_503', 'http_504', 'mail_unavailable']);
const unreachable: ReadonlySet<string> = new Set([
  'dns_failed',
  'connection_refused',
  'connection_broken',
  'tls_failed',
  'address_refused',
  'broker_unavailable',
]);
/**
 * What an outage looks like, and also an event that breaks whoever takes it: the process dies, or the proxy before it
 * answers in its stead. Only what the consumer does with others tells them apart.
 */
const ambiguous: ReadonlySet<string> = new Set(['http_502', 'http_503', 'http_504', 'connection_broken']);

/** What a mail server says of one recipient or one mail, and of nothing else. */
const ofThisMail = /^smtp_/;
/** Said again however often it is asked: to ask is what a mail server takes a sender of spam by. */
const forGood = /^smtp_5/;

/** What is known of a delivery and its consumer when an attempt begins. */
export interface Judged {
  readonly strikes: number;
  readonly mode: ConsumerMode;
  /** Whether the consumer failed since its last success, or is in trouble. */
  readonly isWatched: boolean;
  /** Whether the consumer took another event since this delivery's previous attempt; false on the first. */
  readonly workedSince: boolean;
}

/**
 * Judges an attempt. A failure is a strike against the event only if the event may be the reason: not while the
 * consumer is being probed, and not where it could not be reached or said that it is overloaded, unless it was known to
 * work when the attempt began, or took others since this event's last one. So an event that is refused for ever, with
 * whatever answer, becomes a dead letter while others pass; one whose consumer is sent nothing else waits, in trouble
 * that everybody sees, until another has passed.
 *
 * And an outage of any length sends nothing to the dead letters: what it does to a connection, or says of being
 * overloaded, is one strike at most, for what is under way as it begins; any other failure is known for trouble after
 * `TROUBLE_FAILURES`, however quiet the consumer. That holds as long as `maxStrikes` is more than these.
 *
 * A mailbox is not the consumer, which is the mail server: what that says of one recipient is about the event alone,
 * whatever the consumer's state. A mailbox that does not exist is a dead letter at once, one that is full after as many
 * attempts as any other failure, within half a day.
 */
export function judge(delivery: Judged, result: AttemptResult, policy: DeliveryPolicy, random: number): Verdict {
  if (result.outcome === 'delivered') return { next: 'delivered' };
  const cause = result.cause ?? 'bad_answer';
  const gone = cause === 'http_410';
  const saysLater = overloaded.has(cause);
  const asked = result.retryAfterMs === null ? null : Math.min(result.retryAfterMs, policy.longestRetryAfterMs);
  const isStrike =
    ofThisMail.test(cause) || (delivery.mode !== 'probing' && !gone && mayBeTheEvent(delivery, cause, asked !== null));
  const strikes = delivery.strikes + (isStrike ? 1 : 0);
  // The beginning of an outage alone kills nothing, even where one strike is enough.
  const isLast = strikes >= policy.maxStrikes && (delivery.strikes > 0 || !(saysLater || ambiguous.has(cause)));
  // Once may be the chance of a consumer that takes so many a second and no more.
  const isRefusedAlone = isStrike && delivery.workedSince && delivery.strikes > 0;
  // What is the consumer's doing says nothing about how long this event should wait.
  const ownDelayMs = backoff(isStrike ? strikes : 1, policy, random);
  return {
    next: forGood.test(cause) || (isStrike && isLast) ? 'dead' : 'retry',
    cause,
    strikes,
    delayMs: Math.max(asked ?? 0, ownDelayMs),
    // One event's many strikes must not make the others wait for hours.
    throttleMs: saysLater && !isRefusedAlone ? (asked ?? backoff(1, policy, random)) : null,
    disables: gone,
    blames: blameFor(cause),
  };
}

function mayBeTheEvent({ mode, isWatched, workedSince }: Judged, cause: FailureCause, saidWhen: boolean): boolean {
  // In recovery it is known to work too: that began with a success, and ends with a few failures.
  if (ambiguous.has(cause)) return workedSince || (!saidWhen && (mode === 'recovering' || !isWatched));
  return overloaded.has(cause) ? workedSince : !unreachable.has(cause);
}

function blameFor(cause: FailureCause): 'nothing' | 'answer' | 'connection' {
  // 410 has its own consequence.
  if (cause === 'http_410' || ofThisMail.test(cause)) return 'nothing';
  // Two that had no answer in time are as many as two that found nobody, and each took as long as is allowed.
  return unreachable.has(cause) || cause === 'timeout' || cause === 'mail_unavailable' ? 'connection' : 'answer';
}

/** The wait after the `strikes`-th failure, in ms, at least 1: exponential by four, half of it jitter (`random` in [0, 1)). */
export function backoff(
  strikes: number,
  { backoffBaseMs, backoffCapMs }: Pick<DeliveryPolicy, 'backoffBaseMs' | 'backoffCapMs'>,
  random: number,
): number {
  const full = Math.min(backoffCapMs, backoffBaseMs * 4 ** Math.max(0, strikes - 1));
  return Math.max(1, Math.round(full / 2 + (full / 2) * random));
}
