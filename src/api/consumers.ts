import { z } from 'zod';
import type { Audit, ConsumerChange, ConsumerView, ConsumerWithSecret } from '../domain/consumer-ports.ts';
import type { ConsumerTarget } from '../domain/consumers.ts';
import { DomainFailure } from '../domain/failures.ts';
import { targetProblem } from '../domain/webhook-url.ts';
import { bestEffort } from './best-effort.ts';
import {
  consumer,
  consumerChange,
  consumerDetails,
  consumerList,
  consumerWithSecret,
  newConsumer,
  shownConsumer,
  shownDetails,
  shownWithSecret,
} from './consumer-schemas.ts';
import type { ApiDeps } from './deps.ts';
import { etagOf, readIfMatch } from './etag.ts';
import { idempotencyKey, idempotencyOf } from './idempotency.ts';
import { ApiProblem } from './problems.ts';
import { type Answer, type RequestContext, type Route, route } from './route.ts';
import { audit, page, uuidPath } from './schemas.ts';

export const etagHeader = { ETag: 'The version of the consumer; its health is no part of it' };

const headers = z.object({
  'if-match': z.string().optional().describe('ETag of the consumer as you saw it: refuse if it has changed since'),
});

/** Who gets which events: to say so, to look at it, to change it. */
export function consumerRoutes(deps: ApiDeps): readonly Route[] {
  return [
    route({
      method: 'post',
      path: '/v1/consumers',
      operationId: 'createConsumer',
      access: 'consumers:write',
      audited: true,
      tag: 'Consumers',
      summary: 'Have events delivered',
      description:
        'From its answer on, the consumer gets every event that matches, each at least once. Only this answer, and its repetition under the same key within 72 h, shows the secret; once that was rotated, or the consumer deleted, there is no repetition (409).',
      headers: z.object({ 'idempotency-key': idempotencyKey('consumer') }),
      body: newConsumer,
      answers: {
        201: {
          description: 'Made, now or before, with its secret',
          schema: consumerWithSecret,
          headers: {
            Location: 'Path of the consumer',
            ...etagHeader,
            'Idempotent-Replayed': '`true` if it was made before',
          },
        },
      },
      problems: [
        'idempotency_key_missing',
        'idempotency_key_reused',
        'idempotency_in_progress',
        'conflict',
        'store_unavailable',
      ],
      async handle({ headers: { 'idempotency-key': key }, body }, context) {
        const { name, types, filter, maxInFlight, enabled, actor, reason } = body;
        const target = requireTarget(deps, body);
        if (target === undefined) throw new Error('the schema lets no consumer in without a target');
        const wanted = { name, target, types, filter, maxInFlight, enabled };
        const made = await deps.consumers.create(wanted, idempotencyOf(key, body, context.identity), { actor, reason });
        const view = made.kind === 'created' ? made.value : (JSON.parse(made.answer) as ConsumerWithSecret);
        context.note({ consumerId: view.id, replayed: made.kind === 'replayed' });
        if (made.kind === 'replayed') await requireSameSecret(deps, view);
        const replayed = made.kind === 'replayed' ? { 'idempotent-replayed': 'true' } : {};
        return {
          status: 201,
          headers: { location: `/v1/consumers/${view.id}`, etag: etagOf(view.version), ...replayed },
          json: shownWithSecret(view),
        };
      },
    }),
    route({
      method: 'get',
      path: '/v1/consumers',
      operationId: 'listConsumers',
      access: 'consumers:read',
      tag: 'Consumers',
      summary: 'List consumers, oldest first',
      query: z.strictObject(page),
      answers: { 200: { description: 'One page', schema: consumerList } },
      problems: ['invalid_input', 'store_unavailable'],
      async handle({ query }) {
        const { data, nextCursor } = await deps.consumers.list(query);
        return { status: 200, json: { data: data.map(shownConsumer), nextCursor } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/consumers/{id}',
      operationId: 'getConsumer',
      access: 'consumers:read',
      tag: 'Consumers',
      summary: 'Look at a consumer and how it does',
      params: uuidPath,
      answers: { 200: { description: 'The consumer', schema: consumerDetails, headers: etagHeader } },
      problems: ['store_unavailable'],
      async handle({ params: { id } }, context) {
        context.note({ consumerId: id });
        const found = await deps.consumers.find(id);
        if (found === undefined) throw noSuchConsumer(id);
        return { status: 200, headers: { etag: etagOf(found.version) }, json: shownDetails(found) };
      },
    }),
    route({
      method: 'patch',
      path: '/v1/consumers/{id}',
      operationId: 'changeConsumer',
      access: 'consumers:write',
      audited: true,
      tag: 'Consumers',
      summary: 'Change a consumer',
      description:
        'What is not named stays. `types` and `filter` decide about events from then on: deliveries that wait go out all the same, to the target as it is then. `"filter": null` takes the filter away. `"enabled": false` disables the consumer, true enables it again, whatever had disabled it.',
      params: uuidPath,
      headers,
      body: consumerChange,
      answers: { 200: { description: 'As it is now', schema: consumer, headers: etagHeader } },
      problems: ['version_mismatch', 'store_unavailable'],
      async handle({ params: { id }, headers: { 'if-match': ifMatch }, body }, context) {
        const { name, types, filter, maxInFlight, enabled, actor, reason } = body;
        const target = requireTarget(deps, body);
        const state = enabled === undefined ? undefined : enabled ? 'enabled' : 'disabled';
        const expected = await expectedVersion(deps, id, ifMatch);
        const change = { name, target, types, filter, maxInFlight, state } as const;
        return changedAnswer(await changeConsumer(deps, context, id, { change, expected, by: { actor, reason } }));
      },
    }),
    route({
      method: 'delete',
      path: '/v1/consumers/{id}',
      operationId: 'deleteConsumer',
      access: 'consumers:write',
      audited: true,
      tag: 'Consumers',
      summary: 'Delete a consumer',
      description: 'What it has not got yet becomes dead letters with the cause `consumer_deleted`.',
      params: uuidPath,
      headers,
      query: z.strictObject(audit),
      answers: { 204: { description: 'It is gone' } },
      problems: ['version_mismatch', 'store_unavailable'],
      async handle({ params: { id }, headers: { 'if-match': ifMatch }, query: by }, context) {
        context.note({ consumerId: id });
        const expected = await expectedVersion(deps, id, ifMatch);
        if (expected !== undefined) await requireVersion(deps, id, expected);
        await deps.consumers.remove(id, by);
        await tellTrouble(deps, context, id);
        return { status: 204 };
      },
    }),
  ];
}

/** Throws `conflict` where the remembered answer would show a secret that is not the consumer's any more. */
async function requireSameSecret({ consumers }: ApiDeps, { id, secret }: ConsumerWithSecret): Promise<void> {
  const present = await consumers.destination(id).catch((error: unknown) => {
    if (error instanceof DomainFailure && error.code === 'not_found') return undefined;
    throw error;
  });
  if (present?.secrets[0] === secret) return;
  const since = present === undefined ? 'was deleted since' : 'has another secret since';
  throw new DomainFailure('conflict', `this Idempotency-Key made consumer ${id}, which ${since}`);
}

export function noSuchConsumer(id: string): DomainFailure {
  return new DomainFailure('not_found', `there is no consumer ${id}`);
}

/** The answer of every change to a consumer. */
export function changedAnswer(changed: ConsumerView): Answer<200> {
  return { status: 200, headers: { etag: etagOf(changed.version) }, json: shownConsumer(changed) };
}

/** Commits a change, then tells the workflow of its trouble, where it has one, to look now. */
export async function changeConsumer(
  deps: ApiDeps,
  context: RequestContext,
  id: string,
  wish: { readonly change: ConsumerChange; readonly expected: number | undefined; readonly by: Audit },
): Promise<ConsumerView> {
  context.note({ consumerId: id });
  const changed = await deps.consumers.change(id, wish.change, wish.expected, wish.by);
  await tellTrouble(deps, context, id);
  return changed;
}

async function tellTrouble(deps: ApiDeps, context: RequestContext, consumerId: string): Promise<void> {
  await bestEffort(context.log, { consumerId }, 'workflow not told of the change; it will see it by itself', () =>
    deps.deliveryWorkflows.tellTrouble(consumerId),
  );
}

/** The version that `If-Match` names; undefined for any. Throws `version_mismatch` where it names none of ours. */
export async function expectedVersion(
  deps: ApiDeps,
  id: string,
  ifMatch: string | undefined,
): Promise<number | undefined> {
  const condition = readIfMatch(ifMatch);
  if (condition === 'never') await requireVersion(deps, id, condition);
  return typeof condition === 'number' ? condition : undefined;
}

async function requireVersion(deps: ApiDeps, id: string, condition: number | 'never'): Promise<void> {
  const found = await deps.consumers.find(id);
  if (found === undefined) throw noSuchConsumer(id);
  if (found.version === condition) return;
  throw new DomainFailure('version_mismatch', `the consumer is at version ${found.version} now; look at it again`);
}

/** The target that a body names, if any. Throws `invalid_input` for one that nothing can be sent to from here. */
function requireTarget(
  { webhookNetworks, hasBroker, hasMailServer }: ApiDeps,
  { url, amqp, mail }: Pick<z.output<typeof consumerChange>, 'url' | 'amqp' | 'mail'>,
): ConsumerTarget | undefined {
  if (url !== undefined) {
    const problem = targetProblem(url, webhookNetworks);
    if (problem !== undefined) throw badTarget('/url', problem);
    // As it is sent to, so that one place has one spelling.
    return { kind: 'http', url: new URL(url).href };
  }
  if (mail !== undefined) {
    if (hasMailServer) return { kind: 'mail', ...mail };
    throw badTarget('/mail', 'cannot be used: the operator must set SMTP_URL to a mail server first');
  }
  if (amqp === undefined) return undefined;
  if (!hasBroker) throw badTarget('/amqp', 'cannot be used: the operator must set AMQP_URL to a RabbitMQ first');
  return { kind: 'amqp', ...amqp };
}

function badTarget(pointer: string, detail: string): ApiProblem {
  return new ApiProblem('invalid_input', `${pointer}: ${detail}`, { errors: [{ pointer, detail }] });
}
