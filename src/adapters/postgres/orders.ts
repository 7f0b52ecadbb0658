import { sql } from 'kysely';
import type { NewEvent } from './change.ts';
import { DomainFailure } from '../../domain/failures.ts';
import type { NextGeneration, Orders, RecordedDecision, StepRef } from '../../domain/step-ports.ts';
import { closeAttention, closeOpenAttentions, openAttention } from './attentions.ts';
import { changeOrder, type LockedOrder } from './change.ts';
import type { Database, Queries } from './database.ts';
import { findFulfillment, listFulfillments, moveFulfillment } from './fulfillments.ts';
import { ownStep } from './step.ts';
import { moveStock } from './stock-levels.ts';

export function postgresOrders(db: Database): Orders {
  const step =
    <Step extends StepRef>(effect: (order: LockedOrder, step: Step) => Promise<unknown>, options = {}) =>
    async (ref: Step): Promise<void> => {
      await ownStep(db, ref, (order) => effect(order, ref).then(() => null), options);
    };
  return {
    confirm: step(confirm),
    dispatch: step(dispatch),
    deliver: step(deliver),
    failDelivery: step(failDelivery),
    cancelFulfillment: step(cancelFulfillment),
    withdrawCancellation: step(withdrawCancellation),
    correct: async (ref) => {
      await ownStep(db, ref, (order) => correct(order, ref));
    },
    checkDecision: (decision) => db.read((queries) => checkDecision(queries, decision)),
    openAttention: step((order, ref: Parameters<Orders['openAttention']>[0]) => openAttention(order, ref)),
    closeAttention: step(
      (order, ref: Parameters<Orders['closeAttention']>[0]) => closeAttention(order, ref.attentionId, ref.how),
      { atEnd: true },
    ),
    finish: step(finish),
  };
}

async function checkDecision(
  queries: Queries,
  { orderId, attentionId, decisionId, action, auditId }: RecordedDecision,
): Promise<void> {
  const { rows } = await sql`
    select 1 from decisions d join audit_log a on a.id = d.audit_id
    where d.id = ${decisionId} and d.order_id = ${orderId} and d.attention_id = ${attentionId}
      and d.action = ${action} and a.id = ${auditId} and a.outcome = 'allowed' and a.action = 'decideOrder'
      and a.subject = ${`/v1/orders/${orderId}/decisions`}`.execute(queries);
  if (rows.length > 0) return;
  throw new DomainFailure(
    'decision_not_allowed',
    `decision '${decisionId}' about attention '${attentionId}' is not recorded as one that somebody was allowed to take`,
  );
}

type Ref<Method extends keyof Orders> = Parameters<Orders[Method]>[0];

function confirm(order: LockedOrder): Promise<LockedOrder> {
  const { total_minor: totalMinor, currency } = order.row;
  return changeOrder(order, {
    status: 'confirmed',
    set: { confirmed_at: order.at },
    events: [{ type: 'evenkeel.order.confirmed.v1', data: { totalMinor, currency } }],
  });
}

async function dispatch(order: LockedOrder, { fulfillmentId, at }: Ref<'dispatch'>): Promise<void> {
  const fulfillment = await findFulfillment(order, fulfillmentId);
  await moveFulfillment(order, fulfillment, 'dispatched', { dispatched_at: at });
  const { rows: gone } = await sql<{ sku: string; location: string; quantity: number }>`
    update reservations set state = 'dispatched' where fulfillment_id = ${fulfillmentId} and state = 'reserved'
    returning sku, location, quantity`.execute(order.trx);
  const { shipment_id: shipmentId } = fulfillment;
  await changeOrder(order, {
    status: order.row.status === 'fulfilling' ? undefined : 'fulfilling',
    events: [{ type: 'evenkeel.order.dispatched.v1', data: { fulfillmentId, shipmentId, at } }],
  });
  // Last, because all orders for these SKUs wait for it.
  await moveStock(
    order.trx,
    gone.map(({ sku, location, quantity }) => ({ sku, location, onHand: -quantity, reserved: -quantity })),
  );
}

async function deliver(order: LockedOrder, { fulfillmentId, at }: Ref<'deliver'>): Promise<void> {
  await moveFulfillment(order, await findFulfillment(order, fulfillmentId), 'delivered', { delivered_at: at });
  await changeOrder(order, { events: [{ type: 'evenkeel.order.delivered.v1', data: { fulfillmentId, at } }] });
}

async function failDelivery(order: LockedOrder, { fulfillmentId, reason }: Ref<'failDelivery'>): Promise<void> {
  await moveFulfillment(order, await findFulfillment(order, fulfillmentId), 'failed');
  await changeOrder(order, {
    events: [{ type: 'evenkeel.order.delivery_failed.v1', data: { fulfillmentId, reason } }],
  });
}

async function cancelFulfillment(order: LockedOrder, { fulfillmentId }: Ref<'cancelFulfillment'>): Promise<void> {
  const fulfillment = await findFulfillment(order, fulfillmentId);
  if (fulfillment.status === 'cancelled') return;
  await moveFulfillment(order, fulfillment, 'cancelled');
  const { shipment_id: shipmentId } = fulfillment;
  const event: NewEvent = { type: 'evenkeel.order.shipment_cancelled.v1', data: { fulfillmentId, shipmentId } };
  // Without a shipment the carrier was never told anything that could be cancelled.
  await changeOrder(order, { events: shipmentId === null ? [] : [event] });
}

async function withdrawCancellation(order: LockedOrder, { reason }: Ref<'withdrawCancellation'>): Promise<void> {
  if (order.row.cancel_requested_at === null) return;
  await changeOrder(order, { set: notWished, events: [withdrawal(reason)] });
}

const notWished = { cancel_requested_at: null, cancel_reason: null, cancel_tried_at: null, cancel_delivered_at: null };

function withdrawal(reason: string): NewEvent {
  return { type: 'evenkeel.order.cancellation_withdrawn.v1', data: { reason } };
}

/** Its result is what a replacement of the workflow learns the generations from. */
async function correct(order: LockedOrder, { decisionId, slot, generation }: Ref<'correct'>): Promise<NextGeneration> {
  const decision = await order.trx
    .selectFrom('decisions')
    .select(['action', 'correction'])
    .where('id', '=', decisionId)
    .where('order_id', '=', order.row.id)
    .executeTakeFirst();
  if (decision === undefined) {
    throw new DomainFailure('not_found', `Order ${order.row.id} has no decision ${decisionId}.`);
  }
  const { paymentToken, shippingAddress } = decision.correction ?? {};
  if (decision.action === 'retry') return { slot, generation };
  if (paymentToken === undefined && shippingAddress === undefined) {
    throw new DomainFailure('invalid_input', `Decision ${decisionId} corrects neither payment token nor address.`);
  }
  // What was corrected, not to what: both are personal.
  const corrected = [
    ...(paymentToken === undefined ? [] : ['paymentToken']),
    ...(shippingAddress === undefined ? [] : ['shippingAddress']),
  ];
  await changeOrder(order, {
    set: {
      ...(paymentToken === undefined ? {} : { payment_token: paymentToken }),
      ...(shippingAddress === undefined ? {} : { shipping_address: JSON.stringify(shippingAddress) }),
    },
    events: [{ type: 'evenkeel.order.corrected.v1', data: { decisionId, corrected } }],
  });
  return { slot, generation };
}

async function finish(order: LockedOrder, { status, reason }: Ref<'finish'>): Promise<void> {
  const settled = await closeOpenAttentions(order, { by: 'recovery' });
  // It was accepted, and came too late: whoever asked for it must not believe that it was heeded.
  const withdrawn = order.row.cancel_requested_at !== null && status !== 'cancelled' && status !== 'rejected';
  if (status === 'cancelled' || status === 'rejected') {
    const open = (await listFulfillments(order)).filter(({ status: is }) => is === 'pending' || is === 'booked');
    await Promise.all(open.map((fulfillment) => moveFulfillment(order, fulfillment, 'cancelled')));
  }
  await changeOrder(order, {
    status,
    set: { finished_at: order.at, reason, ...(withdrawn ? notWished : {}) },
    events: [
      ...settled,
      ...(withdrawn ? [withdrawal(`order_${status}`)] : []),
      { type: `evenkeel.order.${status}.v1`, data: { reason } },
    ],
  });
}
