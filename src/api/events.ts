import { z } from 'zod';
import { eventTypes } from '../domain/events.ts';
import { DomainFailure } from '../domain/failures.ts';
import { eventDetails, eventList, typeWanted } from './delivery-schemas.ts';
import type { ApiDeps } from './deps.ts';
import { describeEventType } from './event-catalog.ts';
import { type Route, route } from './route.ts';
import { moment, named, orderId, page, uuidPath } from './schemas.ts';

const eventType = z.object({
  type: z.enum(eventTypes),
  version: z.int().min(1).describe('The number at its end: what is not compatible gets a type with the next'),
  description: z.string(),
  schema: z.record(z.string(), z.unknown()).describe('JSON Schema (draft 2020-12) of the whole envelope'),
  example: z.record(z.string(), z.unknown()),
});
named.add(eventType, { id: 'EventType' });

const eventTypeList = z.object({ data: z.array(eventType) });
named.add(eventTypeList, { id: 'EventTypeList' });

/** What happened to orders, and which ways of happening there are. */
export function eventRoutes(deps: ApiDeps): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/event-types',
      operationId: 'listEventTypes',
      access: 'catalog:read',
      tag: 'Events',
      summary: 'Every type of event, with its schema and an example',
      answers: { 200: { description: 'All of them', schema: eventTypeList } },
      handle: () => Promise.resolve({ status: 200, json: { data: eventTypes.map(describeEventType) } }),
    }),
    route({
      method: 'get',
      path: '/v1/events',
      operationId: 'listEvents',
      access: 'events:read',
      tag: 'Events',
      summary: 'List events, oldest first',
      description:
        'Following `nextCursor` reads on and skips none. Past the last page, ask again with `since` at the last event that you had, and drop by its id what you had already.',
      query: z.strictObject({
        type: typeWanted,
        subject: orderId.optional().describe("The order's id"),
        since: moment.describe('Only events from this moment on'),
        ...page,
      }),
      answers: { 200: { description: 'One page', schema: eventList } },
      problems: ['invalid_input', 'store_unavailable'],
      handle: async ({ query }) => ({ status: 200, json: await deps.events.list(query) }),
    }),
    route({
      method: 'get',
      path: '/v1/events/{id}',
      operationId: 'getEvent',
      access: 'events:read',
      tag: 'Events',
      summary: 'Look at an event and at what became of it at each consumer',
      params: uuidPath,
      answers: { 200: { description: 'The event', schema: eventDetails } },
      problems: ['store_unavailable'],
      async handle({ params: { id } }, context) {
        context.note({ eventId: id });
        const found = await deps.events.find(id);
        if (found === undefined) throw new DomainFailure('not_found', `there is no event ${id}`);
        return { status: 200, json: found };
      },
    }),
  ];
}
