/** What the outside may say to the workflows, and under which names. Names never change their meaning. */
import { SearchAttributeType, defineSearchAttributeKey } from '@temporalio/common';
import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { OrderStatus, TerminalStatus } from '../domain/order.ts';
import type { Decision, StartableOrder } from '../domain/order-ports.ts';
import type { StepName } from '../domain/steps.ts';

export const ORDERS_TASK_QUEUE = 'evenkeel-orders';
export const ORDER_WORKFLOW = 'order';
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
