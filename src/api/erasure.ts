import { z } from 'zod';
import type { Erasure, Erasures } from '../domain/erasure.ts';
import { type Route, route } from './route.ts';
import { instant, named, text, word } from './schemas.ts';

/** What the route of erasure needs from outside. */
export interface ErasureDeps {
  readonly erasures: Erasures;
}

const newErasure = z.strictObject({
  customerId: word(100),
  reason: text(500).describe('Kept for ever, so name nobody: the number of the request, or who received it'),
});
named.add(newErasure, { id: 'NewErasure', examples: [{ customerId: 'ada', reason: 'request 2026-117' }] });

const erasure = z.object({
  id: z.uuid(),
  customerId: z.string().describe('What the orders go by from now on'),
  orders: z.int().min(0).describe("How many were made nobody's, by this request and those before it"),
  at: instant.describe('Of the first request'),
}) satisfies z.ZodType<Erasure>;
named.add(erasure, { id: 'Erasure' });

/**
 * Forgetting a customer. Whom is in the body and not in the path: paths are in the audit log for ever, and in the logs of
 * whatever stands between.
 */
export function erasureRoutes({ erasures }: ErasureDeps): readonly Route[] {
  return [
    route({
      method: 'post',
      path: '/v1/erasures',
      operationId: 'eraseCustomer',
      access: 'customers:erase',
      audited: true,
      tag: 'Orders',
      summary: 'Forget a customer who asked for it',
      description:
        "What tells who it was goes, for good, out of all orders and their events; amounts, articles, payments and times stay, under a name that is nobody's. Refused with 409 while an order is not at its end. Repeat it where there was no answer: it goes on where it was, and answers the same once there is nothing left.",
      body: newErasure,
      answers: { 200: { description: 'Nothing of theirs is left', schema: erasure } },
      problems: ['conflict', 'store_unavailable'],
      async handle({ body: { customerId, reason } }, context) {
        const { auditId, identity } = context;
        const erased = await erasures.erase(customerId, { actor: identity.caller, reason, auditId });
        context.note({ erasureId: erased.id, erasedOrders: erased.orders });
        return { status: 200, json: erased };
      },
    }),
  ];
}
