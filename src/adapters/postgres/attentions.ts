import type { Attention, AttentionEnd } from '../../domain/step-ports.ts';
import { DomainFailure } from '../../domain/failures.ts';
import { changeOrder, type LockedOrder, type NewEvent } from './change.ts';

/** Opens an attention with its event. One of the same id that was there before stays as it is. */
export async function openAttention(order: LockedOrder, attention: Attention): Promise<LockedOrder> {
  const { attentionId, step, fulfillmentId, reason, allowed } = attention;
  const { numInsertedOrUpdatedRows } = await order.trx
    .insertInto('attentions')
    .values({
      order_id: order.row.id,
      id: attentionId,
      step,
      fulfillment_id: fulfillmentId ?? null,
      reason,
      allowed: JSON.stringify(allowed),
      opened_at: order.at,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirstOrThrow();
  if (numInsertedOrUpdatedRows === 0n) return order;
  const data = { attentionId, step, fulfillmentId: fulfillmentId ?? null, reason, allowed };
  return changeOrder(order, { events: [{ type: 'evenkeel.order.attention_opened.v1', data }] });
}

/**
 * Closes an attention with its event; one that is closed stays as it is. That it was closed by a decision proves that
 * the decision was accepted, also where whoever asked got no answer. Throws `not_found`.
 */
export async function closeAttention(order: LockedOrder, attentionId: string, how: AttentionEnd): Promise<void> {
  const attention = await order.trx
    .selectFrom('attentions')
    .select('closed_at')
    .where('order_id', '=', order.row.id)
    .where('id', '=', attentionId)
    .executeTakeFirst();
  if (attention === undefined) {
    throw new DomainFailure('not_found', `Order ${order.row.id} has no attention ${attentionId}.`);
  }
  await settleDecision(order, how);
  if (attention.closed_at !== null) return;
  await order.trx
    .updateTable('attentions')
    .set({ closed_at: order.at, closed_how: JSON.stringify(how) })
    .where('order_id', '=', order.row.id)
    .where('id', '=', attentionId)
    .execute();
  await changeOrder(order, { events: [closedEvent(attentionId, how)] });
}

/** Closes all that is open: nobody needs to decide on it any more. Returns the events to write with it. */
export async function closeOpenAttentions(order: LockedOrder, how: AttentionEnd): Promise<NewEvent[]> {
  await settleDecision(order, how);
  const closed = await order.trx
    .updateTable('attentions')
    .set({ closed_at: order.at, closed_how: JSON.stringify(how) })
    .where('order_id', '=', order.row.id)
    .where('closed_at', 'is', null)
    .returning('id')
    .execute();
  return closed.map(({ id }) => closedEvent(id, how));
}

async function settleDecision({ trx, row, at }: LockedOrder, how: AttentionEnd): Promise<void> {
  if (how.by !== 'decision') return;
  await trx
    .updateTable('decisions')
    .set({ result: 'accepted', settled_at: at })
    .where('id', '=', how.decisionId)
    .where('order_id', '=', row.id)
    .where('settled_at', 'is', null)
    .execute();
}

function closedEvent(attentionId: string, how: AttentionEnd): NewEvent {
  return { type: 'evenkeel.order.attention_closed.v1', data: { attentionId, ...how } };
}
