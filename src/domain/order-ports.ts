/**
 * What the API and the upkeep need: taking orders in, showing them, what people and carriers say of them, and what has
 * not reached an order's workflow yet. All throw `DomainFailure` and nothing else on purpose.
 */
import type { EventData } from './events.ts';
import type { FulfillmentStatus } from './fulfillment.ts';
import type { OrderStatus } from './order.ts';
import type { PaymentView } from './payment.ts';
import type { Address, AttentionEnd } from './step-ports.ts';
import type { DecisionAction, StepName } from './steps.ts';

/** What Temporal knows of an order's workflow. */
export interface OrderWorkflows {
  /** Starts it, or finds it running. Throws `workflow_unavailable`. */
  start(order: StartableOrder): Promise<void>;
  /** `closed`: there is none any more that could listen. */
  cancel(orderId: string): Promise<'accepted' | 'closed'>;
  deliver(message: InboxMessage): Promise<'accepted' | 'closed'>;
  /** Throws `attention_stale`, `decision_not_allowed`, `workflow_unavailable`. */
  decide(orderId: string, decision: Decision): Promise<void>;
  state(orderId: string): Promise<'running' | 'closed' | 'missing'>;
}

export interface Decision {
  readonly attentionId: string;
  readonly decisionId: string;
  readonly action: DecisionAction;
  /** Of the record in the audit log that was committed before; absent of those sent by releases without one. */
  readonly auditId?: string | undefined;
}

export interface NewOrder {
  readonly customerId: string;
  readonly currency: string;
  readonly items: readonly { readonly sku: string; readonly quantity: number }[];
  readonly payment: { readonly token: string };
  readonly shippingAddress: Address;
  /** Where mails about it go; without one there are none. */
  readonly email?: string | undefined;
}

export interface Idempotency {
  readonly caller: string;
  readonly key: string;
  /** SHA-256 of the body in canonical form, hex. */
  readonly bodyHash: string;
}

export interface OrderItem {
  readonly sku: string;
  readonly description: string;
  readonly quantity: number;
  readonly unitPriceMinor: number;
  readonly totalMinor: number;
}

export interface FulfillmentView {
  readonly id: string;
  readonly location: string;
  readonly status: FulfillmentStatus;
  readonly amountMinor: number;
  readonly shipmentId: string | null;
  readonly trackingNumber: string | null;
  readonly items: readonly { readonly sku: string; readonly quantity: number }[];
  readonly bookedAt: string | null;
  readonly dispatchedAt: string | null;
  readonly deliveredAt: string | null;
}

export interface AttentionView {
  readonly id: string;
  readonly step: StepName;
  readonly fulfillmentId: string | null;
  readonly reason: string;
  readonly allowed: readonly DecisionAction[];
  readonly since: string;
}

export interface OrderSummary {
  readonly id: string;
  readonly status: OrderStatus;
  /**
   * What waits for a person and comes first: the flag of a lost workflow, because nobody else hears a decision; else the
   * workflow's own, oldest first; else the flag of one that stands still. Null if nothing waits.
   */
  readonly attention: AttentionView | null;
  readonly customerId: string;
  readonly currency: string;
  readonly totalMinor: number;
  readonly version: number;
  /** Why it was rejected or cancelled; null otherwise. */
  readonly reason: string | null;
  readonly cancelRequestedAt: string | null;
  readonly createdAt: string;
  readonly confirmedAt: string | null;
  readonly finishedAt: string | null;
}

export interface OrderView extends OrderSummary {
  /** All that waits for a person, in the order in which `attention` takes them. */
  readonly attentions: readonly AttentionView[];
  readonly items: readonly OrderItem[];
  readonly payment: PaymentView;
  readonly fulfillments: readonly FulfillmentView[];
  readonly timeline: readonly { readonly at: string; readonly type: string; readonly detail: EventData }[];
}

export type IntakeResult =
  | { readonly kind: 'created'; readonly order: OrderView }
  /** The first answer within its memory of 72 h, byte for byte. */
  | { readonly kind: 'replayed'; readonly answer: string; readonly orderId: string }
  /** Past that memory: the order as it is now. */
  | { readonly kind: 'existing'; readonly order: OrderView };

export interface Intake {
  /**
   * One transaction: claims the key, fixes the prices, inserts the order and its first event. Throws
   * `idempotency_key_reused`, `idempotency_in_progress`, or `invalid_input` naming each unknown SKU; a refused request
   * claims nothing. `traceparent` goes into the event.
   */
  accept(order: NewOrder, idempotency: Idempotency, traceparent: string | undefined): Promise<IntakeResult>;
}

export interface OrderFilter {
  readonly status?: OrderStatus | undefined;
  readonly customerId?: string | undefined;
  readonly attention?: boolean | undefined;
  readonly limit: number;
  /** Opaque, from the page before. Throws `invalid_input` if it is none of ours. */
  readonly cursor?: string | undefined;
}

export interface OrderViews {
  find(orderId: string): Promise<OrderView | undefined>;
  /** Newest first. */
  list(filter: OrderFilter): Promise<{ readonly data: readonly OrderSummary[]; readonly nextCursor: string | null }>;
  /** Resolves with the order once it is confirmed or at its end, or as it is when `timeoutMs` is over. */
  waitForConfirmation(orderId: string, timeoutMs: number, signal: AbortSignal): Promise<OrderView | undefined>;
}

export interface CatalogItem {
  readonly sku: string;
  readonly description: string;
  readonly priceMinor: number;
  readonly currency: string;
}

export interface StockLevel {
  readonly sku: string;
  readonly onHand: number;
  readonly reserved: number;
  readonly locations: readonly { readonly location: string; readonly onHand: number; readonly reserved: number }[];
}

export interface Catalog {
  put(item: CatalogItem): Promise<CatalogItem>;
  find(sku: string): Promise<CatalogItem | undefined>;
  isEmpty(): Promise<boolean>;
  /** Throws `conflict` where `onHand` would fall below what is reserved there, `not_found` for an unknown SKU. */
  putStock(sku: string, location: string, onHand: number): Promise<StockLevel>;
  findStock(sku: string): Promise<StockLevel | undefined>;
}

/** What people ask of an order through the API; each commits before anything is told to the workflow. */
export interface Requests {
  /**
   * Commits the wish to cancel; asking again changes nothing. Throws `not_found`, or `not_cancellable` with the reason
   * once anything was dispatched or the order is at its end, or `version_mismatch`.
   */
  cancel(
    orderId: string,
    request: { readonly reason: string | null; readonly expectedVersion?: number | undefined },
  ): Promise<OrderView>;
  /**
   * Records who decides what and why, before the workflow is told. Throws `attention_stale`, `decision_not_allowed`, or
   * `invalid_input` for a correction of what the step does not read.
   */
  recordDecision(
    orderId: string,
    decision: NewDecision,
  ): Promise<{ readonly decisionId: string; readonly step: StepName }>;
  /**
   * What became of it: accepted by the workflow, or refused and why. Changes nothing that is settled: the end of an
   * attention settles the decision that brought it as accepted.
   */
  settleDecision(decisionId: string, result: 'accepted' | 'refused', detail: string | null): Promise<void>;
}

export interface NewDecision {
  readonly auditId?: string | undefined;
  readonly attentionId: string;
  readonly action: DecisionAction;
  readonly actor: string;
  readonly reason: string;
  readonly correction?:
    { readonly paymentToken?: string | undefined; readonly shippingAddress?: Address | undefined } | undefined;
}

export interface InboxMessage {
  readonly messageId: string;
  readonly orderId: string;
  readonly fulfillmentId: string;
  /** The carrier's id of the shipment that moved. */
  readonly shipmentId: string;
  readonly kind: 'dispatched' | 'delivered';
  /** The sender's time of the fact, ISO 8601. */
  readonly at: string;
}

export interface Inbox {
  /** Keeps a message, once. Throws `not_found` if no such order or fulfillment is ours. */
  keep(message: InboxMessage): Promise<KeptMessage>;
}

/**
 * `other_shipment`: kept, and no news of the fulfillment, whose present shipment is another one. While its booking is
 * not answered it has none, and any shipment's news are its own: "dispatched" may overtake the answer.
 */
export type KeptMessage = 'kept' | 'duplicate' | 'other_shipment';

/** What has been committed for a workflow and not been accepted by it yet. */
export interface Outstanding {
  /** Orders received at least `olderThanMs` ago whose workflow has not been started, oldest first. */
  unstarted(olderThanMs: number, limit: number): Promise<readonly StartableOrder[]>;
  markStarted(orderId: string): Promise<void>;
  undeliveredMessages(olderThanMs: number, limit: number): Promise<readonly InboxMessage[]>;
  /** `closed`: the workflow had ended, so that nothing waits for the message any more. */
  markMessageDelivered(messageId: string, result: 'accepted' | 'closed'): Promise<void>;
  /** Of orders whose workflow has been started. */
  undeliveredCancellations(olderThanMs: number, limit: number): Promise<readonly string[]>;
  markCancellationDelivered(orderId: string): Promise<void>;
  /**
   * Orders not at their end whose last change is older than `idleMs`, or is newer than their flag, and that were not
   * looked at within `idleMs`; takes them, so that two reconcilers share the work.
   */
  takeIdle(idleMs: number, limit: number): Promise<readonly IdleOrder[]>;
  /** Flags an order whose workflow is gone or stands still. Does nothing if it is flagged so already. */
  flag(orderId: string, reason: string): Promise<boolean>;
  /** Takes the flag back, and nothing else: the workflow is there. False if there is none. */
  unflag(orderId: string, how: AttentionEnd): Promise<boolean>;
  /** For a lost workflow: takes the flag back and makes everything already told to the lost workflow due again, for a new one. */
  restartable(orderId: string, decisionId: string): Promise<StartableOrder>;
}

/** All that a workflow is started with: ids and amounts, nothing personal. */
export interface StartableOrder {
  readonly orderId: string;
  readonly totalMinor: number;
  readonly currency: string;
  /** 0 for the first workflow of the order, one more for each that had to replace a lost one. */
  readonly incarnation: number;
  /** Of a replacement: the generation that each step has come to by decisions, by slot; 1 for all others. */
  readonly generations?: Readonly<Record<string, number>> | undefined;
  /** Of a replacement: whether the order had been confirmed. */
  readonly confirmed?: boolean | undefined;
}

export interface IdleOrder extends StartableOrder {
  readonly status: OrderStatus;
  readonly started: boolean;
  readonly waitsForPerson: boolean;
  /**
   * The next move is the carrier's: nobody wished to cancel, and every fulfillment that is not closed is booked, or
   * dispatched and paid for, and there are no news of it that the order has not followed.
   */
  readonly waitsForCarrier: boolean;
  /** The flag that the order bears, and whether the order changed since it got it. */
  readonly flag: { readonly reason: string; readonly changedSince: boolean } | null;
  readonly idleMs: number;
}
