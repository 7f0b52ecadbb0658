import { z } from 'zod';
import type { CatalogItem, OrderSummary, OrderView, StockLevel } from '../domain/order-ports.ts';
import { currencyExponent } from '../domain/money.ts';
import { fulfillmentStatuses } from '../domain/fulfillment.ts';
import { orderStatuses } from '../domain/order.ts';
import { decisionActions, stepNames } from '../domain/steps.ts';

/** The schemas that have a name in the OpenAPI document, under `components.schemas`; with examples that are right. */
export const named = z.registry<{ id: string; examples?: readonly object[] }>();

// ---- Words and numbers --------------------------------------------------------------------------------------------

/** Text for people: any script, no control characters (PostgreSQL refuses NUL), no lone surrogates, not blank. */
export const text = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    // oxlint-disable-next-line no-control-regex -- control characters are what it is about
    .regex(/^[^\u0000-\u001f\u007f]*$/, 'must not contain control characters')
    .refine((value) => value.isWellFormed() && value.trim() !== '', 'must be readable text and not blank');

/** Text for machines: printable ASCII without blanks at its ends. */
export const word = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[!-~](?:[ -~]*[!-~])?$/, 'must be printable ASCII without blanks at its ends');

/** `.` and `..` would vanish from a URL's path. */
export const sku = word(64).regex(/^(?!\.{1,2}$)/, 'must not be . or ..');

export const orderId = z.uuid().toLowerCase();

/** The path of one thing that goes by a UUID. */
export const uuidPath = z.strictObject({ id: z.uuid().toLowerCase() });

/** What every list takes. */
export const page = {
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: word(500).optional().describe('`nextCursor` of the page before'),
};

/** A moment in a query or a body, in any offset; passed on in UTC, with a year that PostgreSQL can read. */
export const moment = z.iso
  .datetime({ offset: true })
  .transform((at) => new Date(at).toISOString())
  .refine((at) => /^[1-9]\d{3}-/.test(at), 'must be in the years 1000 to 9999 of UTC')
  .optional();

const actor = text(200).default('unknown').describe('Who does it; kept with what was done');
const why = text(500);
/** Who and why, for what may go without a reason. */
export const audit = { actor, reason: why.nullable().default(null).describe('Kept with what was done') };
/** The same for what nobody would understand later without one. */
export const justified = { actor, reason: why.describe('Kept with what was done') };

export const currency = z
  .string()
  .regex(/^[A-Z]{3}$/, 'must be three capital letters (ISO 4217) such as GBP')
  .refine((code) => currencyExponent(code) !== undefined, 'is no currency (ISO 4217) that is known here');

const minor = z.int().min(0);
export const instant = z.iso.datetime();

export const address = z.strictObject({
  name: text(200),
  line1: text(200),
  line2: text(200).optional(),
  city: text(100),
  postalCode: text(20),
  country: z.string().regex(/^[A-Z]{2}$/, 'must be two capital letters (ISO 3166-1 alpha-2) such as GB'),
});
named.add(address, { id: 'Address' });

export const paymentToken = word(200);

/** ASCII alone, and neither quotes nor comments: what every mail server takes. 254: RFC 5321 with its errata. */
export const email = z.email('must be an e-mail address such as ada@example.com').max(254);

// ---- Answers ------------------------------------------------------------------------------------------------------

const attention = z.object({
  id: z.string(),
  step: z.enum(stepNames),
  fulfillmentId: z.string().nullable(),
  reason: z.string(),
  allowed: z.array(z.enum(decisionActions)),
  since: instant,
});
named.add(attention, { id: 'Attention' });

const summaryShape = {
  id: z.uuid(),
  status: z.enum(orderStatuses),
  attention: attention.nullable().describe('What waits for a person and comes first; null if nothing does'),
  customerId: z.string(),
  currency: z.string(),
  totalMinor: minor,
  version: z.int().min(0).describe('Rises with every change; the ETag'),
  reason: z.string().nullable().describe('Why it was rejected or cancelled'),
  cancelRequestedAt: instant.nullable(),
  createdAt: instant,
  confirmedAt: instant.nullable(),
  finishedAt: instant.nullable(),
};

const lines = z.array(z.object({ sku: z.string(), quantity: z.int().min(1) }));

export const orderSummary = z.object(summaryShape) satisfies z.ZodType<OrderSummary>;
named.add(orderSummary, { id: 'OrderSummary' });

export const order = z.object({
  ...summaryShape,
  attentions: z
    .array(attention)
    .describe('All that waits for a person: a lost workflow first, then the oldest, one that stands still last'),
  items: z.array(
    z.object({
      sku: z.string(),
      description: z.string(),
      quantity: z.int().min(1),
      unitPriceMinor: minor,
      totalMinor: minor,
    }),
  ),
  payment: z.object({
    status: z.enum([
      'none',
      'unknown',
      'declined',
      'authorized',
      'partially_captured',
      'captured',
      'voided',
      'partially_refunded',
      'refunded',
    ]),
    authorizedMinor: minor,
    capturedMinor: minor,
    refundedMinor: minor,
  }),
  fulfillments: z.array(
    z.object({
      id: z.string(),
      location: z.string(),
      status: z.enum(fulfillmentStatuses),
      amountMinor: minor,
      shipmentId: z.string().nullable(),
      trackingNumber: z.string().nullable(),
      items: lines,
      bookedAt: instant.nullable(),
      dispatchedAt: instant.nullable(),
      deliveredAt: instant.nullable(),
    }),
  ),
  timeline: z.array(z.object({ at: instant, type: z.string(), detail: z.record(z.string(), z.unknown()) })),
}) satisfies z.ZodType<OrderView>;
named.add(order, { id: 'Order' });

export const catalogItem = z.object({
  sku: z.string(),
  description: z.string(),
  priceMinor: minor,
  currency: z.string(),
}) satisfies z.ZodType<CatalogItem>;
named.add(catalogItem, { id: 'CatalogItem' });

export const stockLevel = z.object({
  sku: z.string(),
  onHand: minor,
  reserved: minor,
  locations: z.array(z.object({ location: z.string(), onHand: minor, reserved: minor })),
}) satisfies z.ZodType<StockLevel>;
named.add(stockLevel, { id: 'StockLevel' });

export const problem = z.object({
  type: z.string().describe('urn:evenkeel:problem:<code with dashes>; stable'),
  title: z.string(),
  status: z.int(),
  detail: z.string().describe('What is wrong with which value, and what to do'),
  instance: z.string().describe('The path that was asked for'),
  code: z.string().describe('The same as type, for programs'),
  traceId: z.string().describe('Quote it when you report the problem'),
  errors: z
    .array(
      z.object({
        pointer: z.string().optional().describe('JSON pointer into the body'),
        parameter: z.string().optional().describe('Path, query or header parameter'),
        detail: z.string(),
      }),
    )
    .optional(),
  checks: z
    .array(z.object({ name: z.string(), ready: z.boolean(), detail: z.string().optional() }))
    .optional()
    .describe('Of /readyz alone: what answers and what does not'),
});
named.add(problem, { id: 'Problem' });
