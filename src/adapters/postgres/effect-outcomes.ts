import { sql } from 'kysely';
import { fulfillmentMayBecome } from '../../domain/fulfillment.ts';
import type { EffectKind, EffectTypes } from '../../domain/provider-ports.ts';
import type { LockedOrder, NewEvent } from './change.ts';
import { findFulfillment, hasBooking, moveFulfillment } from './fulfillments.ts';
import { enterOutcome } from './payment-entries.ts';

export type Outcome<K extends EffectKind> = EffectTypes[K]['outcome'] | { readonly outcome: 'never_happened' };

/** An effect with the outcome that it just got, as a union over the kinds: `kind` tells what the rest is. */
type Settled = { [K in EffectKind]: Effect<K> }[EffectKind];

interface Effect<K extends EffectKind> {
  readonly kind: K;
  readonly input: EffectTypes[K]['input'];
  readonly outcome: Outcome<K>;
  /** Its key has a tombstone: the effect is about to be taken back, or was thought never to have happened. */
  readonly forbidden: boolean;
}

/**
 * Writes what follows from an outcome: the ledger's entry, the fulfillment's status, the mark on what was undone.
 * Returns the events to write with it. Nothing here turns back what was cancelled or has left.
 */
export async function afterSettling<K extends EffectKind>(
  order: LockedOrder,
  key: string,
  effect: Effect<K>,
): Promise<NewEvent[]> {
  // `kind`, `input` and `outcome` belong together by K, which the compiler cannot see through a type parameter.
  const settled = effect as Settled;
  switch (settled.kind) {
    case 'authorize':
      await enterOutcome(order, key, settled.kind, settled.input, settled.outcome);
      return authorizeEvents(settled.input, settled.outcome);
    case 'capture':
      await enterOutcome(order, key, settled.kind, settled.input, settled.outcome);
      return captureEvents(settled.input, settled.outcome);
    case 'void':
      await enterOutcome(order, key, settled.kind, settled.input, settled.outcome);
      return afterVoid(order, settled.input, settled.outcome);
    case 'refund':
      await enterOutcome(order, key, settled.kind, settled.input, settled.outcome);
      return afterRefund(order, settled.input, settled.outcome);
    case 'book':
      return afterBooking(order, settled);
    case 'cancel_shipment':
      return afterCancelling(order, settled.input, settled.outcome);
    default:
      return settled satisfies never;
  }
}

type Input<K extends EffectKind> = EffectTypes[K]['input'];

function authorizeEvents(input: Input<'authorize'>, outcome: Outcome<'authorize'>): NewEvent[] {
  const { amountMinor, currency } = input;
  switch (outcome.outcome) {
    case 'authorized': {
      const data = { amountMinor, currency, authorizationId: outcome.authorizationId };
      return [{ type: 'evenkeel.order.payment_authorized.v1', data }];
    }
    case 'declined':
      return [{ type: 'evenkeel.order.payment_declined.v1', data: { amountMinor, currency, reason: outcome.reason } }];
    case 'never_happened':
      return [];
    default:
      return outcome satisfies never;
  }
}

function captureEvents(input: Input<'capture'>, outcome: Outcome<'capture'>): NewEvent[] {
  const { fulfillmentId, amountMinor, currency } = input;
  if (outcome.outcome === 'never_happened') return [];
  if (outcome.outcome === 'refused')
    return [failed('capture', outcome.reason, { fulfillmentId, amountMinor, currency })];
  const data = { fulfillmentId, amountMinor, currency, captureId: outcome.captureId };
  return [{ type: 'evenkeel.order.payment_captured.v1', data }];
}

async function afterVoid(order: LockedOrder, input: Input<'void'>, outcome: Outcome<'void'>): Promise<NewEvent[]> {
  const { authorizationId, amountMinor, currency } = input;
  if (outcome.outcome === 'never_happened') return [];
  if (outcome.outcome === 'refused') return [failed('void', outcome.reason, { amountMinor, currency })];
  await markUndone(order, 'authorize', 'authorizationId', authorizationId);
  return [{ type: 'evenkeel.order.payment_voided.v1', data: { amountMinor, currency, authorizationId } }];
}

async function afterRefund(
  order: LockedOrder,
  input: Input<'refund'>,
  outcome: Outcome<'refund'>,
): Promise<NewEvent[]> {
  const { fulfillmentId, captureId, amountMinor, currency } = input;
  if (outcome.outcome === 'never_happened') return [];
  if (outcome.outcome === 'refused')
    return [failed('refund', outcome.reason, { fulfillmentId, amountMinor, currency })];
  await markUndone(order, 'capture', 'captureId', captureId);
  const data = { fulfillmentId, amountMinor, currency, refundId: outcome.refundId };
  return [{ type: 'evenkeel.order.payment_refunded.v1', data }];
}

function failed(operation: 'capture' | 'void' | 'refund', reason: string, about: object): NewEvent {
  return { type: 'evenkeel.order.payment_failed.v1', data: { operation, reason, ...about } };
}

/**
 * "Dispatched" may have overtaken this answer, and a cancellation too: then only the shipment's numbers are noted. A
 * booking that is forbidden is noted only where no other one took its place.
 */
async function afterBooking(order: LockedOrder, { input, outcome, forbidden }: Effect<'book'>): Promise<NewEvent[]> {
  const { fulfillmentId } = input;
  if (outcome.outcome === 'never_happened') return [];
  if (outcome.outcome === 'refused') {
    return [{ type: 'evenkeel.order.shipment_refused.v1', data: { fulfillmentId, reason: outcome.reason } }];
  }
  const { shipmentId, trackingNumber } = outcome;
  const fulfillment = await findFulfillment(order, fulfillmentId);
  const shipment = { shipment_id: shipmentId, tracking_number: trackingNumber, booked_at: order.at };
  if (!forbidden && fulfillmentMayBecome(fulfillment.status, 'booked')) {
    await moveFulfillment(order, fulfillment, 'booked', shipment);
  } else if (!forbidden || (fulfillment.shipment_id === null && !(await hasBooking(order, fulfillmentId)))) {
    await order.trx.updateTable('fulfillments').set(shipment).where('id', '=', fulfillmentId).execute();
  }
  return [{ type: 'evenkeel.order.shipment_booked.v1', data: { fulfillmentId, shipmentId, trackingNumber } }];
}

/** The fulfillment is as it was before the booking. Whether it is given up, or booked anew, is the order's to say. */
async function afterCancelling(
  order: LockedOrder,
  input: Input<'cancel_shipment'>,
  outcome: Outcome<'cancel_shipment'>,
): Promise<NewEvent[]> {
  const { fulfillmentId, shipmentId } = input;
  if (outcome.outcome !== 'cancelled') return [];
  await markUndone(order, 'book', 'shipmentId', shipmentId);
  const fulfillment = await findFulfillment(order, fulfillmentId);
  const none = { shipment_id: null, tracking_number: null, booked_at: null };
  if (fulfillment.shipment_id === shipmentId && fulfillment.status === 'booked') {
    await moveFulfillment(order, fulfillment, 'pending', none);
  } else if (fulfillment.shipment_id === shipmentId && fulfillment.status === 'pending') {
    await order.trx.updateTable('fulfillments').set(none).where('id', '=', fulfillmentId).execute();
  }
  return [{ type: 'evenkeel.order.shipment_cancelled.v1', data: { fulfillmentId, shipmentId } }];
}

async function markUndone({ trx, row, at }: LockedOrder, kind: EffectKind, idName: string, id: string): Promise<void> {
  await sql`
    update effects set undone_at = ${at}
    where order_id = ${row.id} and kind = ${kind} and outcome ->> ${idName}::text = ${id}`.execute(trx);
}
