/** What stands where now: for gauges and alerts. From records, so that it is true while every worker is dead. */
import type { ConsumerMode, ConsumerState } from './consumers.ts';
import type { OrderStatus } from './order.ts';
import type { StepName } from './steps.ts';

export const violationKinds = [
  'double_charge',
  'overcharge',
  'lost_order',
  'charged_after_end',
  'stock_mismatch',
  'undelivered_event',
] as const;
/**
 * What must never be: an order authorized or captured twice, captured for more than its total, accepted and without any
 * workflow for an hour, paid and cancelled with money left, stock that does not add up, an event without its deliveries.
 */
export type ViolationKind = (typeof violationKinds)[number];

export interface ConsumerLag {
  readonly consumerId: string;
  readonly state: ConsumerState;
  readonly mode: ConsumerMode;
  /**
   * Age of the oldest event that it has not got, in milliseconds: from when it was enabled again, if that is later, and
   * without dead letters that are sent again, which had their time. 0 if it has got all, or is not enabled.
   */
  readonly lagMs: number;
  /** What it has not got, counted up to `MOST_PENDING`: as many or more. */
  readonly pending: number;
}

export const MOST_PENDING = 100_000;

export type Violations = Readonly<Record<ViolationKind, number>>;

export interface StoreFacts {
  /** Orders that are not at their end, by status. */
  readonly openOrders: Readonly<Partial<Record<OrderStatus, number>>>;
  /** Attentions that wait for a person, by step. */
  readonly openAttentions: Readonly<Partial<Record<StepName, number>>>;
  /** Of accepted orders that no workflow was started for; 0 if there is none. */
  readonly oldestStartableMs: number;
  /** Of requests to the payment provider without an outcome; 0 if there is none. */
  readonly oldestUnknownPaymentMs: number;
  /** Undos that wait for a person. */
  readonly failedCompensations: number;
  /** Every consumer that is not deleted. */
  readonly lags: readonly ConsumerLag[];
  /** Dead letters that nobody has seen to, by cause. */
  readonly deadLetters: Readonly<Record<string, number>>;
  /** Messages from RabbitMQ that are parked. */
  readonly parkedMessages: number;
  readonly connections: number;
  readonly connectionsMax: number;
  readonly storeBytes: number;
}

/** Each is one look, in a bounded time however much history there is; and throws `store_unavailable`. */
export interface Facts {
  read(): Promise<StoreFacts>;
  /** Of late; the dearest look, and no matter of seconds. */
  violations(): Promise<Violations>;
}

export const taskKinds = ['workflow', 'activity'] as const;
export type TaskKind = (typeof taskKinds)[number];

export interface TaskQueueFacts {
  readonly backlog: number;
  readonly backlogAgeMs: number;
  /** Workers that asked for work in the last minutes. */
  readonly pollers: number;
}

/** Temporal's own word on the orders' task queue. Throws `workflow_unavailable`. */
export interface TaskQueues {
  describe(): Promise<Readonly<Record<TaskKind, TaskQueueFacts>>>;
}
