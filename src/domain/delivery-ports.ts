/**
 * What delivering events needs: the queue that the relay works off, who sends, what becomes of a consumer in trouble.
 * All throw `DomainFailure` and nothing else on purpose.
 */
import type { Word } from './consumer-health.ts';
import type { TroubleObservation } from './consumer-trouble.ts';
import type { ConsumerMode, ConsumerTarget } from './consumers.ts';
import type { AttemptResult, Verdict } from './delivery.ts';
import type { EventType } from './events.ts';
import type { Attempt } from './step-ports.ts';

/** What is sent, whoever sends it and why. */
export interface OutgoingEvent {
  readonly eventId: string;
  /** The event's type, or `evenkeel.ping.v1`. */
  readonly type: string;
  /** The envelope's exact bytes. */
  readonly body: string;
}

/** Where to, and the secrets that it is signed with: the current one, and its predecessor while that is still valid. */
export interface Destination {
  readonly consumerId: string;
  readonly target: ConsumerTarget;
  readonly secrets: readonly string[];
}

/** Whom the mails about an order go to. */
export interface Recipients {
  /** Undefined where no address was given, or it was erased since. Throws `store_unavailable`. */
  find(orderId: string): Promise<string | undefined>;
}

/** Sends one event to one consumer, once. */
export interface EventSender {
  /** Never throws for what the other side or the network does: that is the result. Gives up when `signal` fires. */
  send(event: OutgoingEvent, to: Destination, attempt: Attempt): Promise<AttemptResult>;
  close(): Promise<void>;
}

/** A delivery that a relay has taken; it is its own until the lease ends. */
export interface ClaimedDelivery extends OutgoingEvent {
  readonly id: number;
  /** Proves the claim when the outcome is written. */
  readonly token: string;
  readonly orderId: string;
  readonly sequence: number;
  readonly type: EventType;
  readonly strikes: number;
  readonly destination: Destination;
  /** The consumer's, when it was claimed. */
  readonly mode: ConsumerMode;
  /** Whether a success is news: there were failures since the last one, or there is trouble. */
  readonly isWatched: boolean;
  /** Whether the consumer took another event since this delivery's previous attempt; false on the first. */
  readonly workedSince: boolean;
}

export interface ClaimLimits {
  /** Deliveries at most. */
  readonly limit: number;
  /** How long they are this relay's: longer than any attempt lasts, its recording included. */
  readonly leaseMs: number;
  /** Names the relay in the log of attempts. */
  readonly relay: string;
}

/** How an attempt ended, judged. */
export interface Settlement {
  readonly delivery: ClaimedDelivery;
  readonly result: AttemptResult;
  readonly verdict: Verdict;
}

export interface Settled {
  /** Ids of deliveries whose lease had ended and that another relay has taken: recorded as an attempt, and nothing else. */
  readonly late: readonly number[];
  /** Ids of deliveries that somebody else held just now: nothing is written of these, try again. */
  readonly missed: readonly number[];
  /** Consumers that are in trouble after this, whether it began now or before. */
  readonly troubled: readonly { readonly consumerId: string; readonly epoch: number; readonly began: boolean }[];
  /** Consumers that this disabled, by their 410. */
  readonly disabled: readonly string[];
}

/**
 * The deliveries to be made. A delivery is due if its consumer is enabled, not throttled and has room, its own wait is
 * over, and no earlier event of its order waits for the same consumer.
 */
export interface DeliveryQueue {
  /** Takes due deliveries, oldest first within each consumer, no consumer's at the cost of another's. */
  claim(limits: ClaimLimits): Promise<readonly ClaimedDelivery[]>;
  /** Writes how attempts ended, in one transaction: outcome, log, the consumer's health, and whether trouble began. */
  settle(settlements: readonly Settlement[], relay: string): Promise<Settled>;
}

/** The words that the settlements of one consumer say of it, in the order in which they ended. */
export function wordsOf(settlements: readonly Settlement[]): readonly Word[] {
  return settlements
    .toSorted((one, other) => endedAt(one.result) - endedAt(other.result))
    .flatMap(({ delivery: { orderId }, verdict }): Word[] => {
      if (verdict.next === 'delivered') return [{ says: 'works' }];
      const { blames, cause: reason } = verdict;
      return blames === 'nothing' ? [] : [{ says: 'fails', orderId, blames, reason }];
    });
}

function endedAt({ startedAt, durationMs }: AttemptResult): number {
  return startedAt.getTime() + durationMs;
}

/** What the workflow of a consumer in trouble sees and decides. Whatever names another epoch than the present changes nothing. */
export interface ConsumerTroubles {
  observe(consumerId: string, epoch: number): Promise<TroubleObservation>;
  /** Has a relay send one delivery now: of another order than the last time, where there is one. */
  probe(consumerId: string, epoch: number): Promise<void>;
  /** Lets `sendLimit` deliveries be under way at a time. */
  open(consumerId: string, epoch: number, sendLimit: number): Promise<void>;
  /**
   * Back to normal, if it recovers, nothing failed since the last success and nothing is left behind, or if nothing is
   * to be sent to it at all; false otherwise.
   */
  end(consumerId: string, epoch: number): Promise<boolean>;
  /** Disables it, with the reason, if it still fails and there is anything to be sent. */
  giveUp(consumerId: string, epoch: number): Promise<void>;
  /** All there are of consumers that are enabled, for whoever makes sure that each has its workflow. */
  inTrouble(): Promise<readonly { readonly consumerId: string; readonly epoch: number }[]>;
}

/** The workflows of delivery on Temporal. All throw `workflow_unavailable`. */
export interface DeliveryWorkflows {
  /** Starts the workflow of a consumer's trouble, or finds it running. */
  startTrouble(consumerId: string, epoch: number): Promise<void>;
  /** There are news: look now. Does nothing where no workflow runs. */
  tellTrouble(consumerId: string): Promise<void>;
  startRedrive(redriveId: string): Promise<void>;
  /** The redrive's state has been changed: look now. */
  tellRedrive(redriveId: string): Promise<void>;
}
