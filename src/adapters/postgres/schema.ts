import type { ColumnType, Generated } from 'kysely';
import type { ResilienceTables } from './resilience-schema.ts';
import type { DeadLetterFilter, DeliveryStatus, RedriveState } from '../../domain/consumer-ports.ts';
import type { ConsumerMode, ConsumerState, ConsumerTarget } from '../../domain/consumers.ts';
import type { DeadCause, FailureCause } from '../../domain/delivery.ts';
import type { EventData, EventType } from '../../domain/events.ts';
import type { FulfillmentStatus } from '../../domain/fulfillment.ts';
import type { SloName } from '../../domain/objectives.ts';
import type { OrderStatus } from '../../domain/order.ts';
import type { PaymentEntry, PaymentOperation } from '../../domain/payment.ts';
import type { InboxMessage, NewDecision } from '../../domain/order-ports.ts';
import type { EffectKind } from '../../domain/provider-ports.ts';
import type { Address, Attention, AttentionEnd } from '../../domain/step-ports.ts';
import type { DecisionAction, StepName } from '../../domain/steps.ts';

/** The tables as kysely sees them; `migrations/` creates them. bigint columns come as safe integers. */
export interface Tables extends ResilienceTables {
  catalog: { sku: string; description: string; price_minor: number; currency: string; updated_at: Generated<Date> };
  stock: { sku: string; location: string; on_hand: number; reserved: Generated<number> };
  orders: OrdersTable;
  order_lines: {
    order_id: string;
    line_no: number;
    sku: string;
    description: string;
    quantity: number;
    unit_price_minor: number;
    total_minor: number;
  };
  idempotency_answers: {
    caller: string;
    route: string;
    key: string;
    body_hash: string;
    /** Of an order's intake; null for all else. */
    order_id: string | null;
    answer: string;
    created_at: Generated<Date>;
  };
  fulfillments: FulfillmentsTable;
  reservations: {
    fulfillment_id: string;
    line_no: number;
    order_id: string;
    sku: string;
    location: string;
    quantity: number;
    state: Generated<'reserved' | 'dispatched' | 'released'>;
  };
  attentions: {
    order_id: string;
    id: string;
    step: StepName;
    fulfillment_id: string | null;
    reason: string;
    allowed: Json<Attention['allowed']>;
    opened_at: Date;
    closed_at: Date | null;
    closed_how: Json<AttentionEnd> | null;
  };
  decisions: {
    id: string;
    order_id: string;
    attention_id: string;
    action: DecisionAction;
    actor: string;
    reason: string;
    correction: Json<NonNullable<NewDecision['correction']>> | null;
    created_at: Date;
    settled_at: Date | null;
    result: 'accepted' | 'refused' | null;
    detail: string | null;
    audit_id: Generated<string | null>;
  };
  inbox: {
    channel: Generated<'carrier' | 'amqp'>;
    message_id: string;
    /** Null until the message is understood; so with the next four, which only the carrier's have. */
    order_id: string | null;
    fulfillment_id: string | null;
    shipment_id: string | null;
    kind: InboxMessage['kind'] | null;
    at: ColumnType<Date | null, string | null, never>;
    attempts: Generated<number>;
    last_error: string | null;
    parked_at: Date | null;
    round: Generated<number>;
    digest: string | null;
    received_at: Generated<Date>;
    tried_at: Date | null;
    delivered_at: Date | null;
    result: 'accepted' | 'closed' | 'other_shipment' | null;
  };
  steps: {
    key: string;
    order_id: string;
    result: Json<unknown> | null;
    settled_at: Date | null;
    tombstoned_at: Date | null;
  };
  effects: {
    key: string;
    order_id: string;
    kind: EffectKind;
    fulfillment_id: string | null;
    input: Json<unknown> | null;
    outcome: Json<unknown> | null;
    requested_at: Date | null;
    settled_at: Date | null;
    tombstoned_at: Date | null;
    undone_at: Date | null;
    looked_at: Date | null;
  };
  payment_entries: {
    id: Generated<number>;
    order_id: string;
    key: string;
    operation: PaymentOperation;
    phase: PaymentEntry['phase'];
    amount_minor: number;
    currency: string;
    provider_ref: string | null;
    code: string | null;
    at: Date;
  };
  events: {
    id: string;
    order_id: string;
    sequence: number;
    type: EventType;
    at: Date;
    body: string;
    replaces: string | null;
  };
  consumers: ConsumersTable;
  consumer_health: ConsumerHealthTable;
  consumer_changes: {
    id: Generated<number>;
    consumer_id: string;
    at: Date;
    action: string;
    actor: string;
    reason: string | null;
    types: Json<readonly string[]> | null;
    filter: Json<EventData> | null;
    state: ConsumerState;
  };
  redrives: {
    id: string;
    state: RedriveState;
    filter: Json<DeadLetterFilter>;
    rate_per_second: number;
    total: number;
    actor: string;
    reason: string | null;
    created_at: Date;
    finished_at: Date | null;
  };
  redrive_changes: {
    id: Generated<number>;
    redrive_id: string;
    at: Date;
    action: 'pause' | 'resume' | 'stop';
    actor: string;
    reason: string | null;
  };
  deliveries: DeliveriesTable;
  attempts: {
    id: Generated<number>;
    delivery_id: number;
    consumer_id: string;
    started_at: Date;
    duration_ms: number;
    outcome: 'delivered' | 'failed';
    cause: FailureCause | null;
    status: number | null;
    answer: string | null;
    error: string | null;
    relay: string;
    late: Generated<boolean>;
  };
  dead_letter_actions: {
    id: Generated<number>;
    delivery_id: number;
    at: Date;
    action: 'retry' | 'redrive' | 'edit' | 'discard';
    actor: string;
    reason: string | null;
    cause: DeadCause;
    dead_since: Date;
    event_id: string | null;
    redrive_id: string | null;
  };
  slo_minutes: {
    slo: SloName;
    minute: Date;
    good: Generated<number>;
    bad: Generated<number>;
    excluded: Generated<number>;
  };
  slo_totals: { slo: SloName; good: Generated<number>; bad: Generated<number>; excluded: Generated<number> };
  slo_cursors: { pass: string; reached: Generated<Date>; judged_until: Generated<Date> };
}

/** Read as a value, written as its JSON text: the driver would turn an array into a PostgreSQL array. */
type Json<Value> = ColumnType<Value, string, string>;

export interface OrdersTable {
  id: string;
  caller: string;
  idempotency_key: string;
  body_hash: string;
  customer_id: string;
  currency: string;
  total_minor: number;
  payment_token: string;
  shipping_address: Json<Address>;
  email: Generated<string | null>;
  erased_at: Generated<Date | null>;
  status: Generated<OrderStatus>;
  reason: string | null;
  version: Generated<number>;
  event_sequence: Generated<number>;
  incarnation: Generated<number>;
  created_at: Date;
  updated_at: Date;
  confirmed_at: Date | null;
  finished_at: Date | null;
  started_at: Date | null;
  start_tried_at: Date | null;
  cancel_requested_at: Date | null;
  cancel_reason: string | null;
  cancel_tried_at: Date | null;
  cancel_delivered_at: Date | null;
  looked_at: Date | null;
}

export interface FulfillmentsTable {
  id: string;
  order_id: string;
  ordinal: number;
  reserve_key: string;
  location: string;
  status: Generated<FulfillmentStatus>;
  amount_minor: number;
  shipment_id: string | null;
  tracking_number: string | null;
  booked_at: Date | null;
  dispatched_at: ColumnType<Date | null, Date | string | null, Date | string | null>;
  delivered_at: ColumnType<Date | null, Date | string | null, Date | string | null>;
}

export interface ConsumersTable {
  id: string;
  name: string;
  target: Json<ConsumerTarget>;
  types: Json<readonly string[]>;
  like_types: string[];
  filter: Json<EventData> | null;
  max_in_flight: number;
  state: ConsumerState;
  state_reason: string | null;
  state_since: Date;
  secret: string;
  former_secret: string | null;
  former_secret_until: Date | null;
  version: Generated<number>;
  created_at: Date;
  deleted_at: Date | null;
}

export interface ConsumerHealthTable {
  consumer_id: string;
  mode: Generated<ConsumerMode>;
  epoch: Generated<number>;
  failing_orders: Generated<string[]>;
  connection_failures: Generated<number>;
  failures: Generated<number>;
  failed_at: Date | null;
  failing_since: Date | null;
  successes: Generated<number>;
  relapses: Generated<number>;
  reason: string | null;
  trouble_since: Date | null;
  send_limit: number | null;
  next_probe_at: Date | null;
  throttled_until: Date | null;
  throttle_streak: Generated<number>;
}

export interface DeliveriesTable {
  id: Generated<number>;
  event_id: string;
  consumer_id: string;
  order_id: string;
  sequence: number;
  status: Generated<DeliveryStatus>;
  is_late: Generated<boolean>;
  attempts: Generated<number>;
  strikes: Generated<number>;
  created_at: Date;
  first_attempt_at: Date | null;
  next_attempt_at: Date;
  token: string | null;
  settled_at: Date | null;
  cause: DeadCause | null;
  last_status: number | null;
  last_error: string | null;
  redrive_id: string | null;
  redriven_at: Date | null;
}
