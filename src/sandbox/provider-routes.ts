import { z } from 'zod';
import type { Dependency, OperationFact } from './facts.ts';
import type { Call, Faults } from './faults.ts';
import { type Exchange, type Route, noAnswer, readJson } from './http.ts';
import { paymentBodies } from './payments.ts';
import { Problem, check } from './problem.ts';
import { bookBody } from './shipments.ts';
import { underFault } from './under-fault.ts';
import type { Request, World } from './world.ts';

const FLAKY_TIMES = 3;
const longestDelayMs = 2_147_483_647;
const delay = z.int().min(-1).max(longestDelayMs);
const settingsBody = z.strictObject({
  dispatchAfterMs: delay.optional(),
  deliverAfterMs: delay.optional(),
  callbackUrl: z.url().optional(),
});

/**
 * What the gateway and the carrier offer to Evenkeel. Business answers, refusals included, are 200 with
 * `{outcome, …}`; a problem (`{status, code, detail}`) is a request that was not understood or cannot be served now.
 */
export function providerRoutes(world: World, faults: Faults): Route[] {
  const flaky = new Map<string, number>();

  /** `tok_flaky_3` fails its key's first three attempts before anything happens. */
  function mayFlake({ operation, key, body }: Request): void {
    if (operation !== 'authorize' || body.token !== 'tok_flaky_3' || world.find('payments', key)) return;
    const attempts = (flaky.get(key) ?? 0) + 1;
    flaky.set(key, attempts);
    if (attempts <= FLAKY_TIMES) {
      throw new Problem(503, 'flaky', `attempt ${attempts} with this card fails, as the first ${FLAKY_TIMES} do`);
    }
  }

  async function perform(exchange: Exchange, request: Request): Promise<unknown> {
    const dependency = request.operation === 'book' || request.operation === 'cancel' ? 'carrier' : 'payments';
    const { operation, key, body } = request;
    const orderId = 'orderId' in body ? body.orderId : world.shipment(body.shipmentId).orderId;
    return underFault(faults.draw({ dependency, operation, key, orderId }), exchange, async () => {
      mayFlake(request);
      const { fact, repeated } = world.perform(request);
      await world.flushed();
      const lost = operation === 'authorize' && body.token === 'tok_timeout_after_effect' && !repeated;
      return lost ? noAnswer : fact.result;
    });
  }

  async function lookup(exchange: Exchange, dependency: Dependency): Promise<unknown> {
    const [key = ''] = exchange.params;
    const call: Call = { dependency, operation: 'lookup', key, orderId: world.find(dependency, key)?.orderId };
    return underFault(faults.draw(call), exchange, async () => {
      // Asked at the last moment: a look-up that was slow to come sees what landed meanwhile.
      const fact = world.find(dependency, key);
      if (!fact) throw new Problem(404, 'unknown_key', `nothing is known of the key '${key}'`);
      await world.flushed();
      return view(fact);
    });
  }

  const move = (kind: 'dispatched' | 'delivered') => async (exchange: Exchange) => {
    const { shipmentId, status } = await world.move(exchange.params[0] ?? '', kind);
    return { shipmentId, status };
  };

  return [
    {
      method: 'POST',
      path: '/payments/authorizations',
      handler: async (exchange) =>
        perform(exchange, { operation: 'authorize', ...(await keyed(exchange, paymentBodies.authorize)) }),
    },
    {
      method: 'POST',
      path: '/payments/captures',
      handler: async (exchange) =>
        perform(exchange, { operation: 'capture', ...(await keyed(exchange, paymentBodies.capture)) }),
    },
    {
      method: 'POST',
      path: '/payments/voids',
      handler: async (exchange) =>
        perform(exchange, { operation: 'void', ...(await keyed(exchange, paymentBodies.void)) }),
    },
    {
      method: 'POST',
      path: '/payments/refunds',
      handler: async (exchange) =>
        perform(exchange, { operation: 'refund', ...(await keyed(exchange, paymentBodies.refund)) }),
    },
    {
      method: 'GET',
      path: '/payments/operations/:key',
      handler: async (exchange) => lookup(exchange, 'payments'),
    },
    {
      method: 'POST',
      path: '/carrier/shipments',
      handler: async (exchange) => perform(exchange, { operation: 'book', ...(await keyed(exchange, bookBody)) }),
    },
    {
      method: 'POST',
      path: '/carrier/shipments/:id/cancel',
      handler: async (exchange) => {
        const [shipmentId = ''] = exchange.params;
        return perform(exchange, { operation: 'cancel', key: keyOf(exchange), body: { shipmentId } });
      },
    },
    {
      method: 'GET',
      path: '/carrier/operations/:key',
      handler: async (exchange) => lookup(exchange, 'carrier'),
    },
    { method: 'POST', path: '/carrier/shipments/:id/dispatch', handler: move('dispatched') },
    { method: 'POST', path: '/carrier/shipments/:id/deliver', handler: move('delivered') },
    { method: 'GET', path: '/carrier/settings', handler: async () => world.settings },
    {
      method: 'PUT',
      path: '/carrier/settings',
      handler: async ({ request }) => {
        const { callbackUrl, ...delays } = check(settingsBody, await readJson(request));
        const { dispatchAfterMs, deliverAfterMs } = world.settings;
        world.configure(
          {
            dispatchAfterMs: delays.dispatchAfterMs ?? dispatchAfterMs,
            deliverAfterMs: delays.deliverAfterMs ?? deliverAfterMs,
          },
          callbackUrl,
        );
        return world.settings;
      },
    },
  ];
}

export async function keyed<T>(exchange: Exchange, body: z.ZodType<T>): Promise<{ key: string; body: T }> {
  return { key: keyOf(exchange), body: check(body, await readJson(exchange.request)) };
}

function keyOf({ request }: Exchange): string {
  const key = request.headers['idempotency-key'];
  if (typeof key === 'string' && key.length > 0 && key.length <= 255) return key;
  throw new Problem(400, 'key_missing', 'send an Idempotency-Key header of 1 to 255 characters');
}

function view({ key, operation, orderId, at, result }: OperationFact) {
  return { key, operation, orderId, at, result };
}
