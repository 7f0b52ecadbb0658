import { z } from 'zod';
import { type DeadLetterDetails, type DeadLetterFilter, deadLetterGroupings } from '../domain/consumer-ports.ts';
import { DomainFailure } from '../domain/failures.ts';
import { deadLetterAnswer, deadLetterDetails, letterReplaced, letterSent, typeWanted } from './delivery-schemas.ts';
import type { ApiDeps } from './deps.ts';
import { isEventType, requireDataOf } from './event-schemas.ts';
import { type RequestContext, type Route, route } from './route.ts';
import { audit, justified, moment, named, orderId, page } from './schemas.ts';

export const causeWanted = z
  .string()
  .regex(/^[a-z0-9_]{1,40}$/, 'must be a cause such as http_500, timeout or consumer_deleted')
  .optional()
  .describe('Such as `http_500`, `timeout`, `consumer_deleted`');

export const consumerWanted = z.uuid().toLowerCase().optional();

const letterPath = z.strictObject({ id: z.string().regex(/^[1-9]\d{0,17}$/, 'must be the id of a dead letter') });

const retrying = z.strictObject(audit);
named.add(retrying, { id: 'DeadLetterRetry' });

const edit = z.strictObject({
  data: z.record(z.string(), z.unknown()).describe("All of the event's `data`, as it should have been"),
  ...justified,
});
named.add(edit, { id: 'DeadLetterEdit' });

const discarding = z.strictObject(justified);
named.add(discarding, { id: 'DeadLetterDiscard' });

/** What could not be delivered, and what people do with each. */
export function deadLetterRoutes(deps: ApiDeps): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/dead-letters',
      operationId: 'listDeadLetters',
      access: 'dead-letters:read',
      tag: 'Dead letters',
      summary: 'List dead letters, oldest first, or count them in groups',
      description:
        'With `groupBy` the answer holds groups in place of a page: `{"groupBy", "groups"}` instead of `{"data", "nextCursor"}`. All that is named must hold.',
      query: z
        .strictObject({
          consumer: consumerWanted,
          cause: causeWanted,
          type: typeWanted,
          subject: orderId.optional().describe("The order's id"),
          since: moment.describe('Dead from this moment on'),
          until: moment.describe('Dead before this moment'),
          groupBy: z.enum(deadLetterGroupings).optional(),
          ...page,
        })
        .refine(({ groupBy, cursor }) => groupBy === undefined || cursor === undefined, {
          path: ['cursor'],
          message: 'means nothing with groupBy: groups come all at once',
        }),
      answers: { 200: { description: 'One page, or the groups', schema: deadLetterAnswer } },
      problems: ['invalid_input', 'store_unavailable'],
      async handle({ query: { groupBy, consumer: consumerId, subject, cursor, limit, ...rest } }) {
        const filter: DeadLetterFilter = { consumerId, orderId: subject, ...rest };
        if (groupBy === undefined) return { status: 200, json: await deps.deadLetters.list(filter, { cursor, limit }) };
        return { status: 200, json: { groupBy, groups: await deps.deadLetters.groups(filter, groupBy) } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/dead-letters/{id}',
      operationId: 'getDeadLetter',
      access: 'dead-letters:read',
      tag: 'Dead letters',
      summary: 'Look at a dead letter: the event, every attempt, what people did',
      params: letterPath,
      answers: { 200: { description: 'The dead letter', schema: deadLetterDetails } },
      problems: ['store_unavailable'],
      async handle({ params: { id } }, context) {
        return { status: 200, json: await findLetter(deps, context, id) };
      },
    }),
    route({
      method: 'post',
      path: '/v1/dead-letters/{id}/retry',
      operationId: 'retryDeadLetter',
      access: 'dead-letters:write',
      audited: true,
      tag: 'Dead letters',
      summary: 'Send one again',
      description:
        'The same event, with the same id and sequence, to its consumer only, as a late one: it neither waits for earlier events of its order nor holds back later ones.',
      params: letterPath,
      body: retrying,
      bodyOptional: true,
      answers: {
        202: { description: 'It will be sent', schema: letterSent, headers: { Location: 'Path of the event' } },
      },
      problems: ['conflict', 'store_unavailable'],
      async handle({ params: { id }, body }, context) {
        const { eventId } = await findLetter(deps, context, id);
        await deps.deadLetters.retry(id, body);
        return { status: 202, headers: { location: `/v1/events/${eventId}` }, json: { id, eventId } };
      },
    }),
    route({
      method: 'post',
      path: '/v1/dead-letters/{id}/edit',
      operationId: 'editDeadLetter',
      access: 'dead-letters:write',
      audited: true,
      tag: 'Dead letters',
      summary: 'Send a corrected event in its stead',
      description:
        'A new event, with an id of its own, that says in `replaces` what it stands in for and has the same sequence. `data` is checked by the schema of the type. A repetition is refused (409): the dead letter is replaced.',
      params: letterPath,
      body: edit,
      answers: {
        202: {
          description: 'The corrected event will be sent',
          schema: letterReplaced,
          headers: { Location: 'Path of the corrected event' },
        },
      },
      problems: ['conflict', 'store_unavailable'],
      async handle({ params: { id }, body: { data, actor, reason } }, context) {
        const { type, eventId: replaces } = await findLetter(deps, context, id);
        if (!isEventType(type)) throw new Error(`dead letter ${id} holds an event of a type without a schema, ${type}`);
        requireDataOf(type, data);
        const { eventId, deliveryId } = await deps.deadLetters.edit(id, data, { actor, reason });
        context.note({ eventId });
        return { status: 202, headers: { location: `/v1/events/${eventId}` }, json: { replaces, eventId, deliveryId } };
      },
    }),
    route({
      method: 'post',
      path: '/v1/dead-letters/{id}/discard',
      operationId: 'discardDeadLetter',
      access: 'dead-letters:write',
      audited: true,
      tag: 'Dead letters',
      summary: 'Give one up',
      description: 'The consumer never gets it. It stays in the records, with who decided that and why.',
      params: letterPath,
      body: discarding,
      answers: { 204: { description: 'It is no dead letter any more' } },
      problems: ['conflict', 'store_unavailable'],
      async handle({ params: { id }, body }, context) {
        context.note({ deadLetterId: id });
        await deps.deadLetters.discard(id, body);
        return { status: 204 };
      },
    }),
  ];
}

async function findLetter(deps: ApiDeps, context: RequestContext, id: string): Promise<DeadLetterDetails> {
  context.note({ deadLetterId: id });
  const found = await deps.deadLetters.find(id);
  if (found === undefined) throw new DomainFailure('not_found', `there is no dead letter ${id}`);
  return found;
}
