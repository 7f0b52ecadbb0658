import { createHash } from 'node:crypto';
import { z } from 'zod';
import { DomainFailure } from '../domain/failures.ts';
import type { NewOrder } from '../domain/order-ports.ts';
import { canonicalJson, JsonSyntaxError, parseJson } from './json.ts';
import { ApiProblem } from './problems.ts';
import { address, currency, email, named, paymentToken, sku, word } from './schemas.ts';
import { validate } from './validate.ts';

/** The body of `POST /v1/orders`. */
export const newOrder = z.strictObject({
  customerId: word(100),
  currency,
  items: z
    .array(z.strictObject({ sku, quantity: z.int().min(1).max(1_000_000) }))
    .min(1)
    .max(1_000),
  payment: z.strictObject({ token: paymentToken }),
  shippingAddress: address,
  email: email.optional().describe('Where mails about the order go, if any are sent; nothing else is done with it'),
});
named.add(newOrder, {
  id: 'NewOrder',
  examples: [
    {
      customerId: 'ada',
      currency: 'GBP',
      items: [{ sku: 'LANTERN-WHITE', quantity: 2 }],
      payment: { token: 'tok_visa' },
      shippingAddress: {
        name: 'Ada Lovelace',
        line1: '12 St James Square',
        city: 'London',
        postalCode: 'SW1Y 4JH',
        country: 'GB',
      },
    },
  ],
});

/** Reads an order as `POST /v1/orders` does, whatever way its bytes came. Throws `invalid_input` that names each place. */
export function parseOrder(body: Uint8Array): NewOrder {
  try {
    const json = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(body));
    return validate(newOrder, json, 'body', 'invalid_input');
  } catch (error) {
    if (error instanceof ApiProblem) {
      const errors = error.errors.map(({ pointer = '', detail }) => ({ pointer, detail }));
      throw new DomainFailure('invalid_input', error.message, { errors, cause: error });
    }
    const detail = error instanceof JsonSyntaxError ? error.message : 'the body is not UTF-8';
    throw new DomainFailure('invalid_input', detail, { errors: [{ pointer: '', detail }], cause: error });
  }
}

/** SHA-256 of a body in canonical form, hex: bodies that differ in the order of their fields alone are the same. */
export function hashBody(body: unknown): string {
  return createHash('sha256').update(canonicalJson(body)).digest('hex');
}
