/** What the audit reads: records as they are stored, of one moment. */
import type { ConsumerMode, ConsumerState } from '../domain/consumers.ts';
import type { DeliveryStatus } from '../domain/consumer-ports.ts';
import type { EventData } from '../domain/events.ts';
import type { FulfillmentStatus } from '../domain/fulfillment.ts';
import type { OrderStatus } from '../domain/order.ts';

export interface OrderRecord {
  readonly id: string;
  readonly status: OrderStatus;
  readonly eventSequence: number;
  readonly confirmedAt: string | null;
  readonly finishedAt: string | null;
  readonly fulfillments: readonly {
    readonly id: string;
    readonly status: FulfillmentStatus;
    readonly dispatchedAt: string | null;
    readonly deliveredAt: string | null;
  }[];
  /** Entries of the payment ledger that are the outcome of an operation. */
  readonly payments: readonly {
    readonly operation: 'authorize' | 'capture' | 'void' | 'refund';
    readonly phase: 'success' | 'failure';
    readonly code: string | null;
  }[];
  readonly attentions: { readonly opened: number; readonly closed: number };
  readonly events: readonly EventRecord[];
  readonly deliveries: readonly DeliveryRecord[];
}

export interface EventRecord {
  readonly id: string;
  readonly sequence: number;
  readonly type: string;
  readonly at: string;
  readonly replaces: string | null;
  /** The envelope's text. */
  readonly body: string;
}

export interface DeliveryRecord {
  readonly id: number;
  readonly eventId: string;
  readonly consumerId: string;
  readonly sequence: number;
  readonly status: DeliveryStatus;
  readonly isLate: boolean;
  readonly cause: string | null;
  /** As counted by the claims. */
  readonly attempts: number;
  readonly isUnderWay: boolean;
  /** Since it became due, in milliseconds; negative while it is not. */
  readonly dueForMs: number;
  readonly settledAt: string | null;
  readonly settledForMs: number | null;
  /** Entries in the log of attempts. */
  readonly logged: number;
  readonly loggedDelivered: number;
  /** What people did to it: retry, redrive, edit, discard. */
  readonly actions: readonly string[];
}

export interface ConsumerRecord {
  readonly id: string;
  readonly name: string;
  readonly state: ConsumerState;
  readonly mode: ConsumerMode;
  readonly isDeleted: boolean;
  /** Since anything last held back all that it gets: its state, its wish for patience, its trouble; negative while it does. */
  readonly openForMs: number;
  /** Since the end of the last attempt, 0 with one under way; null where there was none of late. */
  readonly lastAttemptForMs: number | null;
  /** The age of the youngest delivery of which there was an attempt within the last minute. */
  readonly youngestSentForMs: number | null;
  /** Its history, oldest first: what it was to get from each moment on; null: nothing, it is deleted. */
  readonly history: readonly {
    readonly at: string;
    readonly wants: { readonly types: readonly string[]; readonly filter: EventData | null } | null;
  }[];
}

export interface ReceiptRecord {
  readonly eventId: string;
  readonly subject: string;
  readonly sequence: number;
  readonly late: boolean;
}

/** Where the records come from: all calls see one moment. */
export interface AuditRecords {
  consumers(): Promise<readonly ConsumerRecord[]>;
  /** Orders in the order of their ids, from after `afterId` on. */
  orders(afterId: string, limit: number): Promise<readonly OrderRecord[]>;
}

/** What does not add up. */
export interface Finding {
  readonly check: 'transition' | 'event' | 'intended' | 'outcome' | 'receipt';
  readonly orderId: string;
  /** Which record, by its id. */
  readonly record: string;
  /** What is missing or one too many, in words. */
  readonly problem: string;
}
