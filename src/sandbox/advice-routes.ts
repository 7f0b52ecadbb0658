import { z } from 'zod';
import type { Faults } from './faults.ts';
import { type Route, readJson } from './http.ts';
import { check } from './problem.ts';
import { keyed } from './provider-routes.ts';
import { underFault } from './under-fault.ts';

const text = z.string().min(1).max(200);
const currency = z.string().regex(/^[A-Z]{3}$/, 'an ISO 4217 code such as GBP');

const assessmentBody = z.strictObject({
  orderId: text,
  amountMinor: z.int().min(0),
  currency,
  customerOrders: z.int().positive(),
});

const quoteBody = z.strictObject({
  country: z.string().regex(/^[A-Z]{2}$/, 'an ISO 3166-1 alpha-2 code such as GB'),
  currency,
  items: z.array(z.strictObject({ sku: text, quantity: z.int().positive() })).min(1),
});

const PARCEL_MINOR = 450;
const PIECE_MINOR = 25;

/**
 * What is only asked and changes nothing: the risk service, which decides by the last digits of the amount, and the
 * carrier's quotes.
 */
export function adviceRoutes(faults: Faults): Route[] {
  return [
    {
      method: 'POST',
      path: '/risk/assessments',
      handler: async (exchange) => {
        const { key, body } = await keyed(exchange, assessmentBody);
        const call = { dependency: 'risk', operation: 'assess', key, orderId: body.orderId } as const;
        return underFault(faults.draw(call), exchange, async () => assess(body.amountMinor));
      },
    },
    {
      method: 'POST',
      path: '/carrier/quotes',
      handler: async (exchange) => {
        const body = check(quoteBody, await readJson(exchange.request));
        const call = { dependency: 'carrier', operation: 'quote', key: '', orderId: undefined } as const;
        return underFault(faults.draw(call), exchange, async () => quote(body));
      },
    },
  ];
}

function assess(amountMinor: number) {
  if (amountMinor % 1_000 === 666) return { verdict: 'reject', reason: 'stolen_card' };
  if (amountMinor % 1_000 === 777) return { verdict: 'review', reason: 'unusual_basket' };
  return { verdict: 'approve' };
}

function quote({ country, currency: asked, items }: z.infer<typeof quoteBody>) {
  // Antarctica, where nothing is delivered.
  if (country === 'AQ') return { outcome: 'refused', reason: 'country_not_served' };
  const pieces = items.reduce((sum, { quantity }) => sum + quantity, 0);
  return { outcome: 'quoted', amountMinor: PARCEL_MINOR + PIECE_MINOR * pieces, currency: asked };
}
