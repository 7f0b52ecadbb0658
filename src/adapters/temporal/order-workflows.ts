import {
  type Client,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { DomainFailure, type FailureCode } from '../../domain/failures.ts';
import type { OrderWorkflows } from '../../domain/order-ports.ts';
import { workflowIdOf } from '../../domain/steps.ts';
import {
  ORDERS_TASK_QUEUE,
  ORDER_WORKFLOW,
  type OrderInput,
  cancelSignal,
  carrierSignal,
  decideUpdate,
  orderStatusKey,
} from '../../workflows/contract.ts';
import { boundedCalls } from './bounded.ts';

export interface OrderWorkflowOptions {
  readonly dispatchOverdueMs: number;
  readonly deliveryOverdueMs: number;
  /** Whether a worker in this process shares the client's connection, so that it can be handed the first task at once. */
  readonly eagerStart: boolean;
  /** How long one call to Temporal may take, in milliseconds. */
  readonly deadlineMs: number;
}

/** The orders' workflows on a Temporal server. */
export function temporalOrderWorkflows(client: Client, options: OrderWorkflowOptions): OrderWorkflows {
  const bounded = boundedCalls(client, options.deadlineMs);
  /** Signals a workflow; one that has ended, or never was, cannot hear any more. */
  const tell = async (orderId: string, signal: () => Promise<void>): Promise<'accepted' | 'closed'> => {
    try {
      await bounded(`signal to the workflow of order ${orderId}`, signal);
      return 'accepted';
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return 'closed';
      throw error;
    }
  };

  return {
    async start(order) {
      const { orderId, incarnation } = order;
      const { dispatchOverdueMs, deliveryOverdueMs } = options;
      const input: OrderInput = { ...order, dispatchOverdueMs, deliveryOverdueMs };
      try {
        await bounded(`start of the workflow of order ${orderId}`, () =>
          client.workflow.start(ORDER_WORKFLOW, {
            workflowId: workflowIdOf(orderId),
            taskQueue: ORDERS_TASK_QUEUE,
            args: [input],
            workflowIdConflictPolicy: 'USE_EXISTING',
            // A second first workflow would be a second order; a replacement is asked for by a person, and only for one
            // that was lost: what completed has brought its order to the end.
            workflowIdReusePolicy: incarnation === 0 ? 'REJECT_DUPLICATE' : 'ALLOW_DUPLICATE_FAILED_ONLY',
            requestEagerStart: options.eagerStart,
            typedSearchAttributes: [{ key: orderStatusKey, value: 'received' }],
            staticSummary: `order ${orderId}`,
          }),
        );
      } catch (error) {
        // It ran and ended already: started is what it is.
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      }
    },

    cancel: (orderId) => tell(orderId, () => client.workflow.getHandle(workflowIdOf(orderId)).signal(cancelSignal)),

    deliver: ({ orderId, fulfillmentId, kind, at }) =>
      tell(orderId, () =>
        client.workflow.getHandle(workflowIdOf(orderId)).signal(carrierSignal, { fulfillmentId, kind, at }),
      ),

    async decide(orderId, decision) {
      try {
        await bounded(`decision on order ${orderId}`, () =>
          client.workflow.getHandle(workflowIdOf(orderId)).executeUpdate(decideUpdate, {
            args: [decision],
            updateId: decision.decisionId,
          }),
        );
      } catch (error) {
        throw refusedUpdate(orderId, error);
      }
    },

    async state(orderId) {
      try {
        const { status } = await bounded(`look at the workflow of order ${orderId}`, () =>
          client.workflow.getHandle(workflowIdOf(orderId)).describe(),
        );
        return status.name === 'RUNNING' ? 'running' : 'closed';
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return 'missing';
        throw error;
      }
    },
  };
}

const refusals: readonly FailureCode[] = ['attention_stale', 'decision_not_allowed'];

function refusedUpdate(orderId: string, error: unknown): unknown {
  if (error instanceof WorkflowNotFoundError) {
    return new DomainFailure('attention_stale', `order ${orderId} has no workflow that waits for a decision`);
  }
  const cause = error instanceof WorkflowUpdateFailedError ? error.cause : undefined;
  const code = refusals.find((refusal) => cause instanceof ApplicationFailure && cause.type === refusal);
  return code === undefined ? error : new DomainFailure(code, cause?.message ?? code, { cause: error });
}
