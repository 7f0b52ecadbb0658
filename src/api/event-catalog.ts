import { type EventData, envelope, type EventType, eventTypes } from '../domain/events.ts';
import { publishedSchema } from './event-schemas.ts';

interface Described {
  /** What happened, in a few words. */
  readonly meaning: string;
  readonly example: EventData;
}

const orderId = '7f6f3c1e-58a5-4c6e-9a7e-0f4b8f6f2a11';
const fulfillmentId = `${orderId}-1`;
const money = { amountMinor: 1530, currency: 'GBP' };
const attentionId = `order-${orderId}:book:${fulfillmentId}:1`;
const decisionId = '0d4e3b5e-3a0b-4f3c-8f62-5d7b6a1c9e22';
const at = '2026-01-02T09:30:00.000Z';

/** One line about each type, and data as one order would have them. */
export const eventCatalog: Readonly<Record<EventType, Described>> = {
  'evenkeel.order.created.v1': {
    meaning: 'the order was accepted',
    example: { customerId: 'c-17850', totalMinor: 1530, currency: 'GBP', lines: 1 },
  },
  'evenkeel.order.review_started.v1': {
    meaning: 'the risk rules want a person to look',
    example: { reason: 'total_above_limit' },
  },
  'evenkeel.order.stock_reserved.v1': {
    meaning: 'stock was reserved and divided into fulfillments',
    example: { fulfillments: [{ id: fulfillmentId, location: 'main', amountMinor: 1530 }] },
  },
  'evenkeel.order.stock_released.v1': {
    meaning: 'reserved stock was given back',
    example: { fulfillmentIds: [fulfillmentId], releasedLines: 1 },
  },
  'evenkeel.order.payment_authorized.v1': {
    meaning: 'the gateway holds the amount',
    example: { ...money, authorizationId: 'auth_81' },
  },
  'evenkeel.order.payment_declined.v1': {
    meaning: 'the gateway refused to hold it',
    example: { ...money, reason: 'insufficient_funds' },
  },
  'evenkeel.order.payment_captured.v1': {
    meaning: "a fulfillment's share was charged",
    example: { fulfillmentId, ...money, captureId: 'cap_81' },
  },
  'evenkeel.order.payment_voided.v1': {
    meaning: 'the rest of the hold was released',
    example: { ...money, authorizationId: 'auth_81' },
  },
  'evenkeel.order.payment_refunded.v1': {
    meaning: 'a charge was given back',
    example: { fulfillmentId, ...money, refundId: 'ref_81' },
  },
  'evenkeel.order.payment_failed.v1': {
    meaning: 'the gateway refused to charge, release or give back, or it never happened',
    example: { operation: 'capture', reason: 'authorization_expired', fulfillmentId, ...money },
  },
  'evenkeel.order.confirmed.v1': {
    meaning: 'the order was confirmed',
    example: { totalMinor: 1530, currency: 'GBP' },
  },
  'evenkeel.order.shipment_booked.v1': {
    meaning: 'the carrier took the shipment on',
    example: { fulfillmentId, shipmentId: 'shp_81', trackingNumber: 'TRK81' },
  },
  'evenkeel.order.shipment_refused.v1': {
    meaning: 'the carrier refused it',
    example: { fulfillmentId, reason: 'address_unknown' },
  },
  'evenkeel.order.shipment_cancelled.v1': {
    meaning: 'the shipment will not leave',
    example: { fulfillmentId, shipmentId: 'shp_81' },
  },
  'evenkeel.order.dispatched.v1': {
    meaning: 'the shipment left the house',
    example: { fulfillmentId, shipmentId: 'shp_81', at },
  },
  'evenkeel.order.delivered.v1': { meaning: 'it arrived', example: { fulfillmentId, at } },
  'evenkeel.order.delivery_failed.v1': {
    meaning: 'it was given up as lost',
    example: { fulfillmentId, reason: 'lost' },
  },
  'evenkeel.order.cancellation_requested.v1': {
    meaning: 'somebody asked to cancel',
    example: { reason: 'ordered twice' },
  },
  'evenkeel.order.cancellation_withdrawn.v1': {
    meaning: 'the cancellation came too late; the order goes on',
    example: { reason: `already_dispatched: ${fulfillmentId}` },
  },
  'evenkeel.order.corrected.v1': {
    meaning: 'a payment token or a shipping address was corrected',
    example: { decisionId, corrected: ['shippingAddress'] },
  },
  'evenkeel.order.attention_opened.v1': {
    meaning: 'the order waits for a person',
    example: {
      attentionId,
      step: 'book',
      fulfillmentId,
      reason: 'address_unknown',
      allowed: ['retry', 'retry_corrected', 'cancel'],
    },
  },
  'evenkeel.order.attention_closed.v1': {
    meaning: 'it waits no more, and why',
    example: { attentionId, by: 'decision', decisionId, action: 'retry_corrected' },
  },
  'evenkeel.order.completed.v1': { meaning: 'the end: all delivered', example: { reason: null } },
  'evenkeel.order.partially_completed.v1': { meaning: 'the end: some delivered', example: { reason: null } },
  'evenkeel.order.cancelled.v1': { meaning: 'the end: cancelled', example: { reason: 'ordered twice' } },
  'evenkeel.order.rejected.v1': { meaning: 'the end: rejected', example: { reason: 'out_of_stock' } },
};

export interface EventTypeView {
  readonly type: EventType;
  /** The number behind the `v`: another one may lack fields, or mean something else by them. */
  readonly version: number;
  readonly description: string;
  readonly schema: Readonly<Record<string, unknown>>;
  readonly example: Readonly<Record<string, unknown>>;
}

/** All that is known of a type, its example as a whole envelope. */
export function describeEventType(type: EventType): EventTypeView {
  const { meaning, example } = eventCatalog[type];
  return {
    type,
    version: Number(type.slice(type.lastIndexOf('.v') + 2)),
    description: meaning,
    schema: publishedSchema(type),
    example: {
      ...envelope({
        id: '5d2c7c9a-6f0e-4a43-9d0b-2f7a4a1d3c55',
        type,
        time: new Date('2026-01-02T03:04:05.678Z'),
        orderId,
        sequence: eventTypes.indexOf(type) + 1,
        data: example,
      }),
    },
  };
}
