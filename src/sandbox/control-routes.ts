import { effectKinds } from './facts.ts';
import { type Faults, faultBody } from './faults.ts';
import { type Exchange, type Route, readJson } from './http.ts';
import { isEffectKind, summarize } from './ledger.ts';
import { Problem, check } from './problem.ts';
import type { World } from './world.ts';

/** What an audit and an experiment need: the effects that really happened, and faults by script. */
export function controlRoutes(world: World, faults: Faults): Route[] {
  const ofOrder = ({ query }: Exchange) => {
    const orderId = query.get('orderId');
    return orderId === null ? world.effects : world.effects.filter((effect) => effect.orderId === orderId);
  };

  return [
    { method: 'GET', path: '/livez', handler: async () => ({ status: 'ok' }) },
    {
      method: 'GET',
      path: '/ledger',
      handler: async (exchange) => {
        const kind = exchange.query.get('kind');
        if (kind !== null && !isEffectKind(kind)) {
          throw new Problem(400, 'malformed', `?kind=${kind} is none of ${effectKinds.join(', ')}`);
        }
        const data = ofOrder(exchange).filter((effect) => kind === null || effect.kind === kind);
        await world.flushed();
        return { data };
      },
    },
    {
      method: 'GET',
      path: '/ledger/summary',
      handler: async (exchange) => {
        const data = summarize(ofOrder(exchange));
        await world.flushed();
        return { data };
      },
    },
    { method: 'GET', path: '/faults', handler: async () => ({ data: faults.list() }) },
    {
      method: 'POST',
      path: '/faults',
      handler: async ({ request }) => faults.add(check(faultBody, await readJson(request))),
    },
    { method: 'DELETE', path: '/faults', handler: async () => faults.clear() },
    { method: 'DELETE', path: '/faults/:id', handler: async ({ params }) => faults.remove(params[0] ?? '') },
  ];
}
