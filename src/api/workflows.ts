import type { InboxMessage, StartableOrder } from '../domain/order-ports.ts';
import type { DecisionAction } from '../domain/steps.ts';

/**
 * The orders' workflows as the API sees them. Everything said here is committed to the store before it is said, so that
 * what does not get through is said again by the sweeper. Each call is bounded in time by its implementation.
 */
export interface WorkflowPort {
  /** Starts the order's workflow; does nothing if it runs or ran already. Throws `workflow_unavailable`. */
  start(order: StartableOrder): Promise<void>;
  /** Tells the workflow that a cancellation is wished. Throws `workflow_unavailable`. */
  cancel(orderId: string): Promise<void>;
  /** Hands over a kept callback. Throws `workflow_unavailable`. */
  deliver(message: InboxMessage): Promise<void>;
  /**
   * Resolves once the workflow has accepted the decision. Throws `attention_stale` if it waits for that attention no
   * more, `decision_not_allowed`, or `workflow_unavailable` if no answer came: then it may have accepted all the same.
   */
  decide(orderId: string, decision: WorkflowDecision): Promise<void>;
  /** Starts a new workflow for an order whose workflow was lost. Throws `attention_stale`, `workflow_unavailable`. */
  restart(orderId: string, decisionId: string): Promise<void>;
}

export interface WorkflowDecision {
  readonly attentionId: string;
  readonly decisionId: string;
  readonly action: DecisionAction;
  /** Of the record in the audit log that was committed before. */
  readonly auditId: string;
}
