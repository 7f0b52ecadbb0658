/** The inbox for messages whose senders try again until they are heard: orders from a queue. */

export interface ArrivedMessage {
  /** The message's id; where it has none, a hash of its bytes. */
  readonly messageId: string;
}

/** What is known of a message when one more attempt at it begins. */
export type MessageAttempt =
  /** The attempt counts from here on, whatever ends it. `attempts` includes it. */
  | { readonly kind: 'begun'; readonly attempts: number }
  /** It was understood and done before: acknowledge it. */
  | { readonly kind: 'done'; readonly orderId: string | null };

export interface MessageInbox {
  /**
   * Counts an attempt before it is made, so that one which takes the process with it counts too. One that had been
   * parked and comes again was sent again by a person: it starts from 1. Throws `store_unavailable`; nothing is counted.
   */
  begin(message: ArrivedMessage): Promise<MessageAttempt>;
  /** It led to `orderId`. */
  done(messageId: string, orderId: string): Promise<void>;
  /** It failed, and why; `parked`: for the last time, it goes to the dead letters. */
  failed(messageId: string, error: string, parked: boolean): Promise<void>;
}
