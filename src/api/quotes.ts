import { z } from 'zod';
import type { ShippingQuote, ShippingQuotes } from '../domain/shipping-quotes.ts';
import { type Route, route } from './route.ts';
import { address, currency, instant, named, sku } from './schemas.ts';

const newQuote = z.strictObject({
  country: address.shape.country.describe('Where to, ISO 3166-1 alpha-2'),
  currency,
  items: z
    .array(z.strictObject({ sku, quantity: z.int().min(1).max(1_000_000) }))
    .min(1)
    .max(1_000),
});
named.add(newQuote, {
  id: 'NewShippingQuote',
  examples: [{ country: 'GB', currency: 'GBP', items: [{ sku: 'LANTERN-WHITE', quantity: 2 }] }],
});

const shippingQuote = z.object({
  amountMinor: z.int().min(0).describe('In minor units of the currency: 255 is 2.55 GBP'),
  currency: z.string(),
  source: z
    .enum(['carrier', 'last_known'])
    .describe('`last_known`: the carrier cannot be asked, and this is what it asked for at `quotedAt`'),
  quotedAt: instant,
}) satisfies z.ZodType<ShippingQuote>;
named.add(shippingQuote, { id: 'ShippingQuote' });

/** Whoever asks waits at the till: an old price now is worth more than the present one later. */
const CARRIER_ANSWERS_WITHIN_MS = 2_000;

export interface QuoteDeps {
  readonly shippingQuotes: ShippingQuotes;
}

/** What sending something would cost. */
export function quoteRoutes({ shippingQuotes }: QuoteDeps): readonly Route[] {
  return [
    route({
      method: 'post',
      path: '/v1/shipping-quotes',
      operationId: 'quoteShipping',
      access: 'orders:read',
      tag: 'Orders',
      summary: 'Ask what sending something would cost',
      description:
        'The carrier is asked. While it does not answer, this is the last that it asked for as many pieces to the same ' +
        'country, at most 30 days ago, and says so; where nothing is known, it is `provider_unavailable`.',
      body: newQuote,
      answers: { 200: { description: 'What it would cost', schema: shippingQuote } },
      problems: ['provider_unavailable', 'store_unavailable'],
      async handle({ body }) {
        const quote = await shippingQuotes.quote(body, {
          // Not the request's own, which fires as soon as the server is told to stop: it goes on answering for a while.
          signal: AbortSignal.timeout(CARRIER_ANSWERS_WITHIN_MS),
          deadline: performance.now() + CARRIER_ANSWERS_WITHIN_MS,
        });
        return { status: 200, json: quote };
      },
    }),
  ];
}
