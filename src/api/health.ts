import { z } from 'zod';
import type { ApiDeps } from './deps.ts';
import { ApiProblem } from './problems.ts';
import { readinessOf } from './readiness.ts';
import { type Route, route } from './route.ts';
import { named } from './schemas.ts';

const alive = z.object({ status: z.enum(['alive']) });
named.add(alive, { id: 'Alive' });

const ready = z.object({ status: z.enum(['ready', 'degraded']) });
named.add(ready, { id: 'Ready' });

/**
 * For whoever balances the load: whether the process lives, and whether it can serve. What is missing is said where
 * operations can reach it and the internet cannot, at the address of the metrics.
 */
export function healthRoutes(deps: ApiDeps): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/livez',
      operationId: 'livez',
      access: 'public',
      tag: 'Operations',
      summary: 'Whether the process runs; asks nothing of anybody else',
      answers: { 200: { description: 'It does', schema: alive } },
      handle: () => Promise.resolve({ status: 200, json: { status: 'alive' } }),
    }),
    route({
      method: 'get',
      path: '/readyz',
      operationId: 'readyz',
      access: 'public',
      tag: 'Operations',
      summary: 'Whether requests can be served',
      description:
        "Orders are taken while Temporal is away, so its absence makes the process degraded, not unready: a load balancer must not take it out. What is missing is said by `/readyz` at the metrics' address, which is for operations alone.",
      answers: { 200: { description: 'They can; `degraded` if something is missing all the same', schema: ready } },
      problems: ['not_ready'],
      async handle() {
        const { status } = await readinessOf(deps);
        if (status === 'ready' || status === 'degraded') return { status: 200, json: { status } };
        throw new ApiProblem('not_ready', why[status], { headers: { 'retry-after': '2' } });
      },
    }),
  ];
}

const why = {
  stopping: 'this process is stopping',
  not_ready: "something that is needed does not answer; /readyz at the metrics' address says what",
} as const;
