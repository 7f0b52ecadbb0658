import { z } from 'zod';
import type { DeadLetterFilter, RedriveView } from '../domain/consumer-ports.ts';
import { DomainFailure } from '../domain/failures.ts';
import { bestEffort } from './best-effort.ts';
import { causeWanted, consumerWanted } from './dead-letters.ts';
import { redrive, redriveList, redrivePreview, typeWanted } from './delivery-schemas.ts';
import type { ApiDeps } from './deps.ts';
import { idempotencyKey, idempotencyOf } from './idempotency.ts';
import { ApiProblem } from './problems.ts';
import { type Route, route } from './route.ts';
import { audit, moment, named, orderId, page, uuidPath } from './schemas.ts';

const keyWanted = 'redrive; a dryRun needs none';

const newRedrive = z
  .strictObject({
    filter: z
      .strictObject({
        consumerId: consumerWanted,
        cause: causeWanted,
        type: typeWanted,
        orderId: orderId.optional(),
        since: moment.describe('Dead from this moment on'),
        until: moment.describe('Dead before this moment'),
      })
      .refine((filter) => Object.values(filter).some((value) => value !== undefined), {
        message: 'names nothing; to send every dead letter again, leave it out and say "all": true',
      })
      .optional()
      .describe('All that is named must hold'),
    all: z.literal(true).optional().describe('Every dead letter, in place of a filter'),
    ratePerSecond: z.number().min(0.01).max(1_000).default(10).describe('Sent at most, after the first few'),
    dryRun: z.boolean().default(false).describe('Only say what would be sent'),
    ...audit,
  })
  .refine(({ filter, all }) => filter !== undefined || all !== undefined, {
    path: ['filter'],
    message: 'is missing; say which dead letters, or "all": true for every one',
  })
  .refine(({ filter, all }) => filter === undefined || all === undefined, {
    path: ['all'],
    message: 'goes with no filter beside it: leave one of them out',
  });
named.add(newRedrive, { id: 'NewRedrive', examples: [{ filter: { cause: 'http_500' }, dryRun: true }] });

const steering = z.strictObject(audit);
named.add(steering, { id: 'RedriveSteering' });

const wishes = {
  pause: { operationId: 'pauseRedrive', summary: 'Send no more of them for now' },
  resume: { operationId: 'resumeRedrive', summary: 'Go on with a paused one' },
  stop: { operationId: 'stopRedrive', summary: 'Leave the rest as dead letters' },
} as const;
type Wish = keyof typeof wishes;

/** Many dead letters sent again. Its first path must be known before `/v1/dead-letters/{id}`, which it looks like. */
export function redriveRoutes(deps: ApiDeps): readonly Route[] {
  return [
    route({
      method: 'post',
      path: '/v1/dead-letters/retry',
      operationId: 'createRedrive',
      access: 'dead-letters:write',
      audited: true,
      tag: 'Dead letters',
      summary: 'Send many again, at a rate',
      description:
        'Takes in what matches now and whose consumer is there. The first few go out alone: if none of these is delivered, the rest is left as it is. A slip of the pen sends nothing: an empty filter is refused, and everything takes `"all": true`. Look first with `"dryRun": true`, which changes nothing and needs no key.',
      headers: z.object({ 'idempotency-key': idempotencyKey(keyWanted).optional() }),
      body: newRedrive,
      answers: {
        202: {
          description: 'They will be sent',
          schema: redrive,
          headers: { Location: 'Path of the redrive', 'Idempotent-Replayed': '`true` if it was made before' },
        },
        200: { description: 'Of a dryRun: what would be sent', schema: redrivePreview },
      },
      problems: ['idempotency_key_missing', 'idempotency_key_reused', 'idempotency_in_progress', 'store_unavailable'],
      async handle({ headers: { 'idempotency-key': key }, body }, context) {
        const { filter = {}, ratePerSecond, dryRun, actor, reason } = body;
        if (dryRun) return { status: 200, json: await preview(deps, filter) };
        if (key === undefined) throw keyMissing();
        const made = await deps.redrives.create({ filter, ratePerSecond }, idempotencyOf(key, body, context.identity), {
          actor,
          reason,
        });
        const view = made.kind === 'created' ? made.value : (JSON.parse(made.answer) as RedriveView);
        const location = `/v1/redrives/${view.id}`;
        context.note({ redriveId: view.id, replayed: made.kind === 'replayed' });
        if (made.kind === 'replayed') {
          return { status: 202, headers: { location, 'idempotent-replayed': 'true' }, bytes: made.answer };
        }
        await bestEffort(
          context.log,
          { redriveId: view.id },
          'workflow of a redrive not started; the sweeper will start it',
          () => deps.deliveryWorkflows.startRedrive(view.id),
        );
        return { status: 202, headers: { location }, json: view };
      },
    }),
    route({
      method: 'get',
      path: '/v1/redrives',
      operationId: 'listRedrives',
      access: 'dead-letters:read',
      tag: 'Dead letters',
      summary: 'List redrives, newest first',
      query: z.strictObject(page),
      answers: { 200: { description: 'One page', schema: redriveList } },
      problems: ['invalid_input', 'store_unavailable'],
      handle: async ({ query }) => ({ status: 200, json: await deps.redrives.list(query) }),
    }),
    route({
      method: 'get',
      path: '/v1/redrives/{id}',
      operationId: 'getRedrive',
      access: 'dead-letters:read',
      tag: 'Dead letters',
      summary: 'See how a redrive gets on',
      params: uuidPath,
      answers: { 200: { description: 'The redrive', schema: redrive } },
      problems: ['store_unavailable'],
      async handle({ params: { id } }, context) {
        context.note({ redriveId: id });
        const found = await deps.redrives.find(id);
        if (found === undefined) throw new DomainFailure('not_found', `there is no redrive ${id}`);
        return { status: 200, json: found };
      },
    }),
    ...(Object.keys(wishes) as Wish[]).map((wish) => steeringRoute(deps, wish)),
  ];
}

function steeringRoute(deps: ApiDeps, wish: Wish): Route {
  return route({
    method: 'post',
    path: `/v1/redrives/{id}/${wish}`,
    ...wishes[wish],
    access: 'dead-letters:write',
    audited: true,
    tag: 'Dead letters',
    params: uuidPath,
    body: steering,
    bodyOptional: true,
    answers: { 200: { description: 'As it is now', schema: redrive } },
    problems: ['conflict', 'store_unavailable'],
    async handle({ params: { id }, body }, context) {
      context.note({ redriveId: id });
      const steered = await deps.redrives.steer(id, wish, body);
      await bestEffort(context.log, { redriveId: id }, 'workflow not told; it will see it by itself', () =>
        deps.deliveryWorkflows.tellRedrive(id),
      );
      return { status: 200, json: steered };
    },
  });
}

async function preview({ deadLetters }: ApiDeps, filter: DeadLetterFilter): Promise<z.output<typeof redrivePreview>> {
  const [count, byCause, byConsumer, byType] = await Promise.all([
    deadLetters.count(filter),
    deadLetters.groups(filter, 'cause'),
    deadLetters.groups(filter, 'consumer'),
    deadLetters.groups(filter, 'type'),
  ]);
  return { count, byCause: [...byCause], byConsumer: [...byConsumer], byType: [...byType] };
}

function keyMissing(): ApiProblem {
  const detail = `is missing; send a key of your own for this ${keyWanted}, and the same when you retry`;
  const errors = [{ parameter: 'idempotency-key', detail }];
  return new ApiProblem('idempotency_key_missing', `idempotency-key ${detail}`, { errors });
}
