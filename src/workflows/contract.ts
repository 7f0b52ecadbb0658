/** What the outside may say to the workflows, and under which names. Names never change their meaning. */
import { SearchAttributeType, defineSearchAttributeKey } from '@temporalio/common';
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { TroubleMemory, TroubleObservation, TroublePolicy } from '../domain/consumer-trouble.ts';
import type { OrderStatus, TerminalStatus } from '../domain/order.ts';
import type { Decision, StartableOrder } from '../domain/order-ports.ts';
import type { RedriveMemory, RedrivePolicy, RedriveProgress } from '../domain/redrive.ts';
import type { StepName } from '../domain/steps.ts';

export const ORDERS_TASK_QUEUE = 'evenkeel-orders';
export const ORDER_WORKFLOW = 'order';
export const CONSUMER_WORKFLOW = 'consumer';
export const REDRIVE_WORKFLOW = 'redrive';
export const UPKEEP_WORKFLOW = 'upkeep';
export const UPKEEP_SCHEDULE = 'evenkeel-upkeep';

/** All a workflow is started with. Limits come along, so that a changed setting changes no running order. */
export interface OrderInput extends StartableOrder {
  readonly dispatchOverdueMs: number;
  readonly deliveryOverdueMs: number;
}

export interface OrderEnd {
  readonly orderId: string;
  readonly status: TerminalStatus;
  readonly reason: string | null;
}

/** A carrier's news of one fulfillment; `at` is the carrier's time, ISO 8601. Repeats and late ones change nothing. */
export interface CarrierNews {
  readonly fulfillmentId: string;
  readonly kind: 'dispatched' | 'delivered';
  readonly at: string;
}

export const carrierSignal = defineSignal<[CarrierNews]>('carrier');
export const cancelSignal = defineSignal('cancel');
/** Refused with type `attention_stale` or `decision_not_allowed`; only sets state. */
export const decideUpdate = defineUpdate<void, [Decision]>('decide');

export interface OrderProgress {
  readonly status: OrderStatus;
  readonly cancelRequested: boolean;
  readonly attentions: readonly { readonly attentionId: string; readonly step: StepName; readonly reason: string }[];
  readonly fulfillments: Readonly<Record<string, string>>;
}
export const progressQuery = defineQuery<OrderProgress>('progress');

export const orderStatusKey = defineSearchAttributeKey('OrderStatus', SearchAttributeType.KEYWORD);
/** The step that waits for a person; absent while none does. */
export const orderAttentionKey = defineSearchAttributeKey('OrderAttention', SearchAttributeType.KEYWORD);

export function consumerWorkflowIdOf(consumerId: string): string {
  return `consumer-${consumerId}`;
}

export function redriveWorkflowIdOf(redriveId: string): string {
  return `redrive-${redriveId}`;
}

/** What the workflow of a consumer's trouble is started with. Another trouble, by its epoch, has another one. */
export interface TroubleInput {
  readonly consumerId: string;
  readonly epoch: number;
  readonly policy: TroublePolicy;
  /** What the run before remembered; absent in the first. */
  readonly memory?: TroubleMemory;
}

/** `left`: it was over already, or the consumer has another trouble by now. */
export type TroubleEnd = 'ended' | 'given_up' | 'left';

/** Something has come of a delivery, or a person has changed the consumer: look now. */
export const newsSignal = defineSignal('news');

export interface TroubleProgress {
  /** As it was last seen; null before the first look. */
  readonly seen: TroubleObservation | null;
  readonly memory: TroubleMemory;
  /** ISO 8601, by the workflow's clock. */
  readonly nextLookAt: string | null;
}
export const troubleQuery = defineQuery<TroubleProgress>('trouble');

export interface RedriveInput {
  readonly redriveId: string;
  readonly policy: RedrivePolicy;
  readonly memory?: RedriveMemory;
}

/** How it ended; `missing`: there is no such redrive. */
export type RedriveEnd = 'completed' | 'failed' | 'stopped' | 'missing';

/** A person has paused, resumed or stopped the redrive: look now. */
export const lookSignal = defineSignal('look');
export const redriveQuery = defineQuery<RedriveProgress | null>('redrive');
