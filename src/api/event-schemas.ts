import { z } from 'zod';
import { eventSource, type EventType, eventTypes } from '../domain/events.ts';
import { decisionActions, stepNames } from '../domain/steps.ts';
import { jsonProblem } from './json.ts';
import { ApiProblem, type ProblemError } from './problems.ts';
import { errorsIn } from './validate.ts';

const minor = z.int().min(0).describe('In minor units of the currency: 255 is 2.55 GBP');
const currency = z.string().regex(/^[A-Z]{3}$/);
const id = z.string().min(1);
const reason = z.string().describe('A code, or what the provider said');
const instant = z.iso.datetime();

/** What each type's `data` holds: all of it, and nothing else. Whoever writes an event writes this. */
const data = {
  'evenkeel.order.created.v1': { customerId: id, totalMinor: minor, currency, lines: z.int().min(1) },
  'evenkeel.order.review_started.v1': { reason },
  'evenkeel.order.stock_reserved.v1': {
    fulfillments: z.array(z.strictObject({ id, location: z.string(), amountMinor: minor })).min(1),
  },
  'evenkeel.order.stock_released.v1': { fulfillmentIds: z.array(id).min(1), releasedLines: z.int().min(1) },
  'evenkeel.order.payment_authorized.v1': { amountMinor: minor, currency, authorizationId: id },
  'evenkeel.order.payment_declined.v1': { amountMinor: minor, currency, reason },
  'evenkeel.order.payment_captured.v1': { fulfillmentId: id, amountMinor: minor, currency, captureId: id },
  'evenkeel.order.payment_voided.v1': { amountMinor: minor, currency, authorizationId: id },
  'evenkeel.order.payment_refunded.v1': { fulfillmentId: id, amountMinor: minor, currency, refundId: id },
  'evenkeel.order.payment_failed.v1': {
    operation: z.enum(['capture', 'void', 'refund']),
    reason,
    fulfillmentId: id.optional().describe('Of a capture or a refund'),
    amountMinor: minor,
    currency,
  },
  'evenkeel.order.confirmed.v1': { totalMinor: minor, currency },
  'evenkeel.order.shipment_booked.v1': { fulfillmentId: id, shipmentId: id, trackingNumber: z.string() },
  'evenkeel.order.shipment_refused.v1': { fulfillmentId: id, reason },
  'evenkeel.order.shipment_cancelled.v1': { fulfillmentId: id, shipmentId: id },
  'evenkeel.order.dispatched.v1': {
    fulfillmentId: id,
    shipmentId: id.nullable().describe('Null where the carrier told of it before the booking was answered'),
    at: instant.describe('By the carrier'),
  },
  'evenkeel.order.delivered.v1': { fulfillmentId: id, at: instant.describe('By the carrier') },
  'evenkeel.order.delivery_failed.v1': { fulfillmentId: id, reason },
  'evenkeel.order.cancellation_requested.v1': { reason: z.string().nullable() },
  'evenkeel.order.cancellation_withdrawn.v1': { reason },
  'evenkeel.order.corrected.v1': {
    decisionId: id,
    corrected: z.array(z.enum(['paymentToken', 'shippingAddress'])).min(1),
  },
  'evenkeel.order.attention_opened.v1': {
    attentionId: id,
    step: z.enum(stepNames),
    fulfillmentId: id.nullable(),
    reason,
    allowed: z.array(z.enum(decisionActions)),
  },
  'evenkeel.order.attention_closed.v1': {
    attentionId: id,
    by: z.enum(['decision', 'recovery', 'cancellation']),
    decisionId: id.optional().describe('Of a decision'),
    action: z.enum(decisionActions).optional().describe('Of a decision'),
  },
  'evenkeel.order.completed.v1': { reason: z.string().nullable() },
  'evenkeel.order.partially_completed.v1': { reason: z.string().nullable() },
  'evenkeel.order.cancelled.v1': { reason: z.string().nullable() },
  'evenkeel.order.rejected.v1': { reason: z.string().nullable() },
} as const satisfies Record<EventType, z.ZodRawShape>;

function schemaOf(type: EventType) {
  return z.strictObject({
    specversion: z.literal('1.0'),
    id: z.uuid().describe('The same in every attempt to deliver it'),
    source: z.literal(eventSource),
    type: z.literal(type),
    time: instant.describe('When it happened'),
    subject: z.uuid().describe("The order's id"),
    datacontenttype: z.literal('application/json'),
    sequence: z
      .string()
      .regex(/^\d{10}$/)
      .describe('Rises by one with each event of the order; compares as text'),
    correlationid: z.uuid().describe("The order's id"),
    traceparent: z
      .string()
      .regex(/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/)
      .optional()
      .describe('W3C trace context of the change'),
    replaces: z.uuid().optional().describe('Of a corrected event: the id of the one that it stands in for'),
    data: z.strictObject(data[type] as z.ZodRawShape),
  });
}

/** The whole envelope of each type, as it is written: anything more or less is a mistake of ours. */
export const eventSchemas = Object.fromEntries(eventTypes.map((type) => [type, schemaOf(type)])) as unknown as Readonly<
  Record<EventType, ReturnType<typeof schemaOf>>
>;

export function isEventType(type: string): type is EventType {
  return Object.hasOwn(eventSchemas, type);
}

/** What is wrong with an envelope by the schema of its type, by JSON pointer; nothing for one as we write them. */
export function validateEvent(envelope: unknown): readonly ProblemError[] {
  const { type } = z
    .looseObject({ type: z.string().catch('') })
    .catch({ type: '' })
    .parse(envelope);
  if (!isEventType(type)) return [{ pointer: '/type', detail: `is no type of event; got ${JSON.stringify(type)}` }];
  const { error } = eventSchemas[type].safeParse(envelope, { reportInput: true });
  return error === undefined ? [] : errorsIn(error, 'body');
}

/** Throws `invalid_input` that names each place under `/data` where `corrected` is no data of that type. */
export function requireDataOf(type: EventType, corrected: unknown): void {
  const envelope = z.object({ data: eventSchemas[type].shape.data });
  const { error } = envelope.safeParse({ data: corrected }, { reportInput: true });
  const unkept = jsonProblem(corrected);
  const errors = error ? errorsIn(error, 'body') : unkept === undefined ? [] : [{ pointer: '/data', detail: unkept }];
  if (errors.length === 0) return;
  const all = errors.map(({ pointer, detail }) => `${pointer} ${detail}`).join('; ');
  throw new ApiProblem('invalid_input', `the data are not as ${type} has them: ${all}; see GET /v1/event-types`, {
    errors,
  });
}

/**
 * The JSON Schema (draft 2020-12) of a type for those who receive it. It allows fields that it does not name, since
 * events gain fields under the same version.
 */
export function publishedSchema(type: EventType): Readonly<Record<string, unknown>> {
  return z.toJSONSchema(eventSchemas[type], {
    override: ({ jsonSchema }) => {
      if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
    },
  });
}
