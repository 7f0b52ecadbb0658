import { z } from 'zod';

/** All that the pretend world remembers, as lines of its journal. Its state is nothing but the sum of these. */
const common = { key: z.string(), orderId: z.string(), at: z.string() };
const money = { amountMinor: z.int().positive(), currency: z.string() };

export const effectKinds = ['authorization', 'capture', 'void', 'refund', 'shipment', 'cancellation'] as const;
export type EffectKind = (typeof effectKinds)[number];

/** What really happened: money moved or was held, a shipment came to be or was called off. Once per key. */
export const effectSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('authorization'),
    authorizationId: z.string(),
    /** The later operation that this card will refuse, whatever else is right. */
    refuses: z.enum(['capture', 'void', 'refund']).nullable(),
    ...common,
    ...money,
  }),
  z.object({
    kind: z.literal('capture'),
    captureId: z.string(),
    authorizationId: z.string(),
    ...common,
    ...money,
  }),
  z.object({ kind: z.literal('void'), authorizationId: z.string(), ...common, ...money }),
  z.object({ kind: z.literal('refund'), refundId: z.string(), captureId: z.string(), ...common, ...money }),
  z.object({
    kind: z.literal('shipment'),
    shipmentId: z.string(),
    trackingNumber: z.string(),
    fulfillmentId: z.string(),
    ...common,
  }),
  z.object({ kind: z.literal('cancellation'), shipmentId: z.string(), fulfillmentId: z.string(), ...common }),
]);
export type Effect = z.infer<typeof effectSchema>;
export type EffectOf<K extends EffectKind> = Extract<Effect, { kind: K }>;

/** The business answer to an operation: what came of it, and for a refusal why. */
export const resultSchema = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('authorized'), authorizationId: z.string() }),
  z.object({ outcome: z.literal('declined'), reason: z.string() }),
  z.object({ outcome: z.literal('captured'), captureId: z.string() }),
  z.object({ outcome: z.literal('voided') }),
  z.object({ outcome: z.literal('refunded'), refundId: z.string() }),
  z.object({ outcome: z.literal('booked'), shipmentId: z.string(), trackingNumber: z.string() }),
  z.object({ outcome: z.literal('cancelled') }),
  z.object({ outcome: z.literal('already_dispatched') }),
  z.object({ outcome: z.literal('refused'), reason: z.string() }),
]);
export type Result = z.infer<typeof resultSchema>;

export const dependencies = ['payments', 'carrier'] as const;
export type Dependency = (typeof dependencies)[number];

const operationFact = z.object({
  type: z.literal('operation'),
  dependency: z.enum(dependencies),
  operation: z.enum(['authorize', 'capture', 'void', 'refund', 'book', 'cancel']),
  key: z.string(),
  /** SHA-256 over the operation and its body: what a repeat under the same key must match. */
  fingerprint: z.string(),
  orderId: z.string(),
  at: z.string(),
  result: resultSchema,
  /** Null where the business refused, or where there was nothing left to do. */
  effect: effectSchema.nullable(),
});
export type OperationFact = z.infer<typeof operationFact>;

const movedFact = z.object({
  type: z.literal('moved'),
  shipmentId: z.string(),
  kind: z.enum(['dispatched', 'delivered']),
  messageId: z.string(),
  at: z.string(),
});
/** A shipment went on; somebody is to be told by the message `messageId`. */
export type MovedFact = z.infer<typeof movedFact>;

const acknowledgedFact = z.object({ type: z.literal('acknowledged'), messageId: z.string(), at: z.string() });

export const factSchema = z.discriminatedUnion('type', [operationFact, movedFact, acknowledgedFact]);
export type Fact = z.infer<typeof factSchema>;
