import { z } from 'zod';
import type { Identity } from '../domain/access.ts';
import { idempotencyKeyPattern } from '../domain/idempotency.ts';
import type { Idempotency } from '../domain/order-ports.ts';
import { nobody } from './route.ts';
import { hashBody } from './order-body.ts';

/**
 * Whose keys these are. A shop's are the shop's, whichever API key it sends them with: one that is renewed in the middle
 * of a repetition must not make a second order. A customer's own are the customer's.
 */
function scopeOf({ customerId }: Identity): string {
  return customerId === undefined ? 'default' : `customer:${customerId}`;
}

/** The header `Idempotency-Key`; `thing` says for what one is chosen. */
export const idempotencyKey = (thing: string) =>
  z
    .string(`is missing; send a key of your own for this ${thing}, and the same when you retry`)
    .regex(idempotencyKeyPattern, 'must be 1 to 255 printable ASCII characters');

/** Bodies that differ in the order of their fields alone are the same. */
export function idempotencyOf(key: string, body: unknown, identity: Identity = nobody): Idempotency {
  return { caller: scopeOf(identity), key, bodyHash: hashBody(body) };
}
