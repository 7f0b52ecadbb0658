import { z } from 'zod';
import { DomainFailure } from '../domain/failures.ts';
import type { Log } from '../telemetry/log.ts';
import type { ApiDeps, ReadinessCheck } from './deps.ts';
import { ApiProblem } from './problems.ts';
import { type Route, route } from './route.ts';
import { named } from './schemas.ts';

const checkMs = 2_000;

const alive = z.object({ status: z.enum(['alive']) });
named.add(alive, { id: 'Alive' });

const ready = z.object({
  status: z.enum(['ready', 'degraded']),
  checks: z.array(z.object({ name: z.string(), ready: z.boolean(), detail: z.string().optional() })),
});
named.add(ready, { id: 'Ready' });

/** For whoever runs the process: whether it lives, and whether it has all that it needs. */
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
      summary: 'Whether requests can be served; says what does not answer',
      description:
        'Orders are taken while Temporal is away, so its absence makes the process degraded, not unready: a load balancer must not take it out.',
      answers: { 200: { description: 'They can; `degraded` if something is missing all the same', schema: ready } },
      problems: ['not_ready'],
      async handle(_input, { log }) {
        if (deps.draining?.aborted === true) throw notReady('this process is stopping', []);
        const checks = await Promise.all(deps.readiness.map((check) => judge(check, log)));
        const missing = checks.filter((check) => !check.ready);
        if (missing.every((check) => check.optional)) {
          const status = missing.length === 0 ? 'ready' : 'degraded';
          return { status: 200, json: { status, checks: checks.map(shown) } };
        }
        const detail = missing.map((check) => `${check.name}: ${check.detail}`).join('; ');
        throw notReady(detail, checks.map(shown));
      },
    }),
  ];
}

interface Shown {
  readonly name: string;
  readonly ready: boolean;
  readonly detail?: string;
}

interface Judgement extends Shown {
  readonly optional: boolean;
}

function shown({ optional: _optional, ...check }: Judgement): Shown {
  return check;
}

/** A check that ignores its signal is judged all the same. */
async function judge(dependency: ReadinessCheck, log: Log): Promise<Judgement> {
  const { name, optional = false } = dependency;
  const signal = AbortSignal.timeout(checkMs);
  const late = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () =>
      reject(new DomainFailure('store_unavailable', `no answer in ${checkMs} ms`)),
    );
  });
  try {
    await Promise.race([dependency.check(signal), late]);
    return { name, optional, ready: true };
  } catch (err) {
    // A failure of the domain may be shown, and says all; what else an error says is for the log.
    const detail = err instanceof DomainFailure ? err.message : 'does not answer';
    log.warn(err instanceof DomainFailure ? { dependency: name, detail } : { err, dependency: name }, 'not ready');
    return { name, optional, ready: false, detail };
  } finally {
    late.catch(() => undefined);
  }
}

function notReady(detail: string, checks: readonly Shown[]): ApiProblem {
  return new ApiProblem('not_ready', detail, { headers: { 'retry-after': '2' }, more: { checks } });
}
