/** Orders from a queue: the queue itself, and the inbox that counts how often each message was tried. */

/** A message that the queue has handed out; it is nobody else's until it is acknowledged, given back or lost. */
export interface QueuedOrder {
  /** The sender's, if it gave one. */
  readonly messageId: string | undefined;
  readonly idempotencyKey: string | undefined;
  /** The sender's W3C trace context, not to be trusted and perhaps malformed. */
  readonly traceparent?: string | undefined;
  readonly body: Uint8Array;
  /** How often a person had it sent again from the dead letters; 0 for one that comes from its sender. */
  readonly round: number;
  /** Fires when the connection that it came by is gone: the broker hands it out again, and nothing done to this one counts. */
  readonly lost: AbortSignal;
  /** Leaves a copy that comes again after a while, longer with each attempt. Resolves once the broker has it for sure. */
  retry(failure: MessageFailure): Promise<void>;
  /** Leaves a copy among the dead letters, to come again in the next round. Resolves once the broker has it for sure. */
  park(failure: MessageFailure): Promise<void>;
  /** It is done, or a copy of it is kept elsewhere: the broker may forget it. */
  acknowledge(): void;
  /** The broker hands it out again, at once. */
  giveBack(): void;
}

export interface MessageFailure {
  readonly error: string;
  /** Made in this round so far. */
  readonly attempts: number;
  readonly round: number;
}

export interface OrderQueue {
  /**
   * Hands out messages until `signal` fires, at most `prefetch` at a time; resolves when `handle` has ended for each.
   * Survives any failure of the broker. `handle` must not reject.
   */
  consume(prefetch: number, handle: (message: QueuedOrder) => Promise<void>, signal: AbortSignal): Promise<void>;
}

export interface ArrivedMessage {
  /** The sender's; where it gave none, its digest. */
  readonly messageId: string;
  /** SHA-256 of the idempotency key and the bytes, so that two messages by one id are not taken for one. */
  readonly digest: string;
  readonly round: number;
}

/** What is known of a message when one more attempt at it begins. */
export type MessageAttempt =
  /** The attempt counts from here on, whatever ends it. `attempts` includes it. */
  | { readonly kind: 'begun'; readonly attempts: number; readonly round: number; readonly lastError: string | null }
  /** It was understood and done before: acknowledge it. */
  | { readonly kind: 'done'; readonly orderId: string }
  /** It had all its attempts in this round: it belongs among the dead letters. Nothing was counted. */
  | { readonly kind: 'parked'; readonly attempts: number; readonly round: number; readonly lastError: string | null };

/** All throw `store_unavailable` while the database is away; nothing is counted then. */
export interface MessageInbox {
  /**
   * Counts an attempt before it is made, so that one which takes the process with it counts too. The count starts anew
   * with a later round, and with other bytes under an id whose message is done or parked.
   */
  begin(message: ArrivedMessage): Promise<MessageAttempt>;
  /** It led to `orderId`. */
  done(message: ArrivedMessage, orderId: string): Promise<void>;
  /** It failed, and why; `parked`: for the last time in this round, it lies among the dead letters. */
  failed(message: ArrivedMessage, failure: MessageFailure, parked: boolean): Promise<void>;
  /** Resolves if the database answers. */
  ping(): Promise<void>;
}
