import { z } from 'zod';
import { type BreakerStore, type BreakerView, breakerNames, breakerStates } from '../domain/breakers.ts';
import { DomainFailure } from '../domain/failures.ts';
import { type Route, route } from './route.ts';
import { instant, justified, named, text } from './schemas.ts';

/** What the routes of breakers need from outside. */
export interface BreakerApiDeps {
  readonly breakers: Pick<BreakerStore, 'list' | 'force'>;
}

const forcedStates = ['auto', 'open', 'closed'] as const;
const state = z.enum(breakerStates);
const count = z.int().min(0);

export const breaker = z.object({
  name: z.enum(breakerNames),
  forced: z
    .object({
      state: z.enum(forcedStates).describe('`auto`: each process decides for itself'),
      reason: z.string().nullable(),
      actor: z.string().nullable(),
      at: instant.nullable(),
    })
    .describe('What operators want of all processes'),
  workers: z
    .array(
      z.object({
        name: z.enum(breakerNames),
        worker: z.string().describe('The process: host and pid'),
        state,
        since: instant,
        calls: count.describe('Within the last 30 seconds, as far as they count'),
        failures: count.describe('Of these, calls that failed or were slow'),
        toldAt: instant,
      }),
    )
    .describe('As each process that runs last told, at most two seconds late'),
  transitions: z
    .array(z.object({ at: instant, worker: z.string(), from: state, to: state, cause: z.string() }))
    .describe('The newest 20, newest first'),
}) satisfies z.ZodType<BreakerView>;
named.add(breaker, { id: 'Breaker' });

const breakerList = z.object({ data: z.array(breaker) });
named.add(breakerList, { id: 'BreakerList' });

const forcing = z.strictObject({
  state: z
    .enum(forcedStates)
    .describe('`open`: the provider is not asked; `closed`: it is, whatever comes of it; `auto`: as it is by itself'),
  ...justified,
  actor: text(200).optional().describe('Who wants it, where somebody else sends it; default: the caller'),
});
named.add(forcing, { id: 'BreakerForcing' });

const namePath = z.strictObject({ name: z.enum(breakerNames) });

/** The circuit breakers around providers: how they are in each process, and what operators want of all. */
export function breakerRoutes({ breakers }: BreakerApiDeps): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/breakers',
      operationId: 'listBreakers',
      access: 'operations:read',
      priority: 'critical',
      tag: 'Operations',
      summary: 'Look at the circuit breakers around providers',
      answers: { 200: { description: 'All of them', schema: breakerList } },
      problems: ['store_unavailable'],
      async handle() {
        return { status: 200, json: { data: await breakers.list() } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/breakers/{name}',
      operationId: 'getBreaker',
      access: 'operations:read',
      priority: 'critical',
      tag: 'Operations',
      summary: 'Look at one circuit breaker',
      params: namePath,
      answers: { 200: { description: 'As it is in each process', schema: breaker } },
      problems: ['store_unavailable'],
      async handle({ params: { name } }) {
        const found = (await breakers.list()).find((one) => one.name === name);
        if (found === undefined) throw new DomainFailure('not_found', `there is no breaker ${name}`);
        return { status: 200, json: found };
      },
    }),
    route({
      method: 'post',
      path: '/v1/breakers/{name}',
      operationId: 'forceBreaker',
      access: 'breakers:write',
      audited: true,
      tag: 'Operations',
      summary: 'Force a circuit breaker open or closed in all processes, or let it decide again',
      description:
        'Every process that reaches PostgreSQL does so within three seconds, and stays so while it does not reach it any more. `auto` begins afresh: what was counted before is forgotten. Repeating it changes nothing but who and why.',
      params: namePath,
      body: forcing,
      answers: { 200: { description: 'As it is wanted now', schema: breaker } },
      problems: ['store_unavailable'],
      async handle({ params: { name }, body }, context) {
        const { state: wanted, reason, actor = context.identity.caller } = body;
        context.note({ breaker: name, forced: wanted });
        const view = await breakers.force(name, { state: wanted, reason, actor, auditId: context.auditId });
        return { status: 200, json: view };
      },
    }),
  ];
}
