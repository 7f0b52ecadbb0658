import { randomUUID } from 'node:crypto';
import { DomainFailure } from '../../domain/failures.ts';
import { isTerminal } from '../../domain/order.ts';
import type { NewDecision, OrderView, Requests } from '../../domain/order-ports.ts';
import type { StepName } from '../../domain/steps.ts';
import { changeOrder, type LockedOrder, withOrder } from './change.ts';
import type { Database, Queries } from './database.ts';
import { listFulfillments } from './fulfillments.ts';
import { readOrderView } from './order-view.ts';

export function postgresRequests(db: Database): Requests {
  return {
    cancel: (orderId, request) =>
      withOrder(db, orderId, async (order) => {
        await cancel(order, request);
        return mustRead(order.trx, orderId);
      }),
    recordDecision: (orderId, decision) => withOrder(db, orderId, (order) => recordDecision(order, decision)),
    settleDecision: (decisionId, result, detail) =>
      db.read(async (queries) => {
        await queries
          .updateTable('decisions')
          .set((e) => ({ result, detail, settled_at: e.fn('clock_timestamp') }))
          .where('id', '=', decisionId)
          .where('settled_at', 'is', null)
          .execute();
      }),
  };
}

async function cancel(order: LockedOrder, request: Parameters<Requests['cancel']>[1]): Promise<void> {
  const { row } = order;
  const { reason, expectedVersion } = request;
  if (expectedVersion !== undefined && expectedVersion !== row.version) {
    throw new DomainFailure(
      'version_mismatch',
      `Order ${row.id} is at version ${row.version}, not ${expectedVersion}. Read it again, then decide.`,
    );
  }
  if (isTerminal(row.status)) {
    throw new DomainFailure('not_cancellable', `Order ${row.id} is ${row.status}: it is at its end.`);
  }
  const left = (await listFulfillments(order)).find(
    ({ status }) => status === 'dispatched' || status === 'delivered' || status === 'failed',
  );
  if (left !== undefined) {
    throw new DomainFailure(
      'not_cancellable',
      `Fulfillment ${left.id} of order ${row.id} has left the house (it is ${left.status}).`,
    );
  }
  if (row.cancel_requested_at !== null) return;
  await changeOrder(order, {
    set: { cancel_requested_at: order.at, cancel_reason: reason },
    events: [{ type: 'evenkeel.order.cancellation_requested.v1', data: { reason } }],
  });
}

async function recordDecision(
  { trx, row, at }: LockedOrder,
  decision: NewDecision,
): Promise<{ readonly decisionId: string; readonly step: StepName }> {
  const { attentionId, action, actor, auditId, reason, correction } = decision;
  const attention = await trx
    .selectFrom('attentions')
    .select(['step', 'allowed'])
    .where('order_id', '=', row.id)
    .where('id', '=', attentionId)
    .where('closed_at', 'is', null)
    .executeTakeFirst();
  if (attention === undefined) {
    throw new DomainFailure(
      'attention_stale',
      `Attention '${attentionId}' of order ${row.id} is not open (any more). Read the order for what is.`,
    );
  }
  if (!attention.allowed.includes(action)) {
    throw new DomainFailure(
      'decision_not_allowed',
      `'${action}' is not allowed for step '${attention.step}'. Allowed: ${attention.allowed.join(', ')}.`,
    );
  }
  if (correction !== undefined) requireFit(attention.step, correction);
  const decisionId = randomUUID();
  await trx
    .insertInto('decisions')
    .values({
      id: decisionId,
      order_id: row.id,
      attention_id: attentionId,
      action,
      actor,
      reason,
      correction: correction === undefined ? null : JSON.stringify(correction),
      audit_id: auditId ?? null,
      created_at: at,
    })
    .execute();
  return { decisionId, step: attention.step };
}

/** The one step that reads each field: a correction of another field would change nothing that is stuck. */
const readBy = { paymentToken: 'authorize', shippingAddress: 'book' } as const satisfies Record<string, StepName>;

function requireFit(step: StepName, correction: NonNullable<NewDecision['correction']>): void {
  const errors = (['paymentToken', 'shippingAddress'] as const)
    .filter((field) => correction[field] !== undefined && readBy[field] !== step)
    .map((field) => ({
      pointer: `/correction/${field}`,
      detail: `Only step '${readBy[field]}' reads it. Leave it out.`,
    }));
  if (errors.length === 0) return;
  throw new DomainFailure('invalid_input', `The correction does not fit step '${step}', which is stuck.`, { errors });
}

async function mustRead(trx: Queries, orderId: string): Promise<OrderView> {
  const view = await readOrderView(trx, orderId);
  if (view === undefined) throw new Error(`order ${orderId} is gone while it is locked`);
  return view;
}
