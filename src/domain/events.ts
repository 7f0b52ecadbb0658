/** The types of event that an order's changes write, one for each kind of change. */
export const eventTypes = [
  'evenkeel.order.created.v1',
  'evenkeel.order.review_started.v1',
  'evenkeel.order.stock_reserved.v1',
  'evenkeel.order.stock_released.v1',
  'evenkeel.order.payment_authorized.v1',
  'evenkeel.order.payment_declined.v1',
  'evenkeel.order.payment_captured.v1',
  'evenkeel.order.payment_voided.v1',
  'evenkeel.order.payment_refunded.v1',
  'evenkeel.order.payment_failed.v1',
  'evenkeel.order.confirmed.v1',
  'evenkeel.order.shipment_booked.v1',
  'evenkeel.order.shipment_refused.v1',
  'evenkeel.order.shipment_cancelled.v1',
  'evenkeel.order.dispatched.v1',
  'evenkeel.order.delivered.v1',
  'evenkeel.order.delivery_failed.v1',
  'evenkeel.order.cancellation_requested.v1',
  'evenkeel.order.cancellation_withdrawn.v1',
  'evenkeel.order.corrected.v1',
  'evenkeel.order.attention_opened.v1',
  'evenkeel.order.attention_closed.v1',
  'evenkeel.order.completed.v1',
  'evenkeel.order.partially_completed.v1',
  'evenkeel.order.cancelled.v1',
  'evenkeel.order.rejected.v1',
] as const;
export type EventType = (typeof eventTypes)[number];

/** The facts of an event, as JSON. Ids, amounts and codes; nothing personal. */
export type EventData = Readonly<Record<string, unknown>>;

/** A CloudEvents 1.0 envelope (https://github.com/cloudevents/spec), structured mode, plus our extensions. */
export interface EventEnvelope {
  readonly specversion: '1.0';
  readonly id: string;
  readonly source: string;
  readonly type: EventType;
  readonly time: string;
  readonly subject: string;
  readonly datacontenttype: 'application/json';
  /** Rises by one with each event of the order; assigned under the order's row lock. */
  readonly sequence: string;
  /** What caused it, across systems: here the order's id, so that one search finds all. */
  readonly correlationid: string;
  /** W3C trace context of the change, where there was one. */
  readonly traceparent?: string;
  /** Of an event that a person corrected after it was dead-lettered: the id of the one that it stands in for. */
  readonly replaces?: string;
  readonly data: EventData;
}

export const eventSource = '/evenkeel/orders';

/**
 * Builds an envelope; the time and the id come in as data. `sequence` is a string because the CloudEvents extension
 * of that name is: zero-padded to ten digits, so that comparing as text compares as number.
 */
export function envelope(event: {
  id: string;
  type: EventType;
  time: Date;
  orderId: string;
  sequence: number;
  traceparent?: string | undefined;
  replaces?: string | undefined;
  data: EventData;
}): EventEnvelope {
  return {
    specversion: '1.0',
    id: event.id,
    source: eventSource,
    type: event.type,
    time: event.time.toISOString(),
    subject: event.orderId,
    datacontenttype: 'application/json',
    sequence: event.sequence.toString().padStart(10, '0'),
    correlationid: event.orderId,
    ...(event.traceparent === undefined ? {} : { traceparent: event.traceparent }),
    ...(event.replaces === undefined ? {} : { replaces: event.replaces }),
    data: event.data,
  };
}
