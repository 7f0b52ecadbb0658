import { z } from 'zod';
import { idempotencyKeyPattern } from '../domain/idempotency.ts';
import type { Idempotency } from '../domain/order-ports.ts';
import { hashBody } from './order-body.ts';

/** Until keys exist that tell callers apart, all are one. */
const caller = 'default';

/** The header `Idempotency-Key`; `thing` says for what one is chosen. */
export const idempotencyKey = (thing: string) =>
  z
    .string(`is missing; send a key of your own for this ${thing}, and the same when you retry`)
    .regex(idempotencyKeyPattern, 'must be 1 to 255 printable ASCII characters');

/** Bodies that differ in the order of their fields alone are the same. */
export function idempotencyOf(key: string, body: unknown): Idempotency {
  return { caller, key, bodyHash: hashBody(body) };
}
