import { DomainFailure } from '../domain/failures.ts';
import type { Decision, InboxMessage, OrderWorkflows, Outstanding, StartableOrder } from '../domain/order-ports.ts';

/** Hands what is committed over to the orders' workflows, and records that it was: the API at once, the sweeper later. */
export interface Handover {
  start(order: StartableOrder): Promise<void>;
  /** Only `accepted` is recorded: an order that was not started yet has nobody to listen, and will have. */
  cancel(orderId: string): Promise<'accepted' | 'closed'>;
  deliver(message: InboxMessage): Promise<void>;
  decide(orderId: string, decision: Decision): Promise<void>;
  /** A new workflow for an order that lost its own. One that only stood still is left in peace, and the flag goes. */
  restart(orderId: string, decisionId: string): Promise<void>;
}

export function createHandover(outstanding: Outstanding, workflows: OrderWorkflows): Handover {
  const start = async (order: StartableOrder): Promise<void> => {
    await workflows.start(order);
    await outstanding.markStarted(order.orderId);
  };
  return {
    start,
    async cancel(orderId) {
      const heard = await workflows.cancel(orderId);
      if (heard === 'accepted') await outstanding.markCancellationDelivered(orderId);
      return heard;
    },
    async deliver(message) {
      await outstanding.markMessageDelivered(message.messageId, await workflows.deliver(message));
    },
    decide: (orderId, decision) => workflows.decide(orderId, decision),
    async restart(orderId, decisionId) {
      if ((await workflows.state(orderId)) !== 'running') {
        await start(await outstanding.restartable(orderId, decisionId));
      } else if (!(await outstanding.unflag(orderId, { by: 'decision', decisionId, action: 'retry' }))) {
        throw new DomainFailure('attention_stale', `order ${orderId} is not flagged (any more)`);
      }
    },
  };
}
