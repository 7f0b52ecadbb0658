import { describe, expect, test } from 'vitest';
import { describeEventType } from '../../src/api/event-catalog.ts';
import { requireDataOf, validateEvent } from '../../src/api/event-schemas.ts';
import { type EventType, envelope, eventTypes } from '../../src/domain/events.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import { eventDetails, eventId } from './api-delivery-fakes.ts';
import { fakes, orderId, problem, serve } from './api-fakes.ts';

function exampleOf(type: EventType) {
  return describeEventType(type).example as Record<string, unknown> & { readonly data: Record<string, unknown> };
}

describe('the schema of every type of event', () => {
  test.each(eventTypes)('%s takes its example, and nothing more or less', (type) => {
    const example = exampleOf(type);
    expect(validateEvent(example)).toEqual([]);
    for (const name of Object.keys(example)) {
      const { [name]: _left, ...without } = example;
      expect(validateEvent(without)).toMatchObject([{ pointer: `/${name}` }]);
    }
    expect(validateEvent({ ...example, extra: 1 })).toMatchObject([{ pointer: '/extra' }]);
    expect(validateEvent({ ...example, data: { ...example.data, extra: 1 } })).toMatchObject([
      { pointer: '/data/extra' },
    ]);
  });

  test.each(eventTypes)('%s misses every field of its data that is not of some events alone', (type) => {
    const { data } = exampleOf(type);
    for (const name of Object.keys(data).filter((one) => !sometimes.has(`${type} ${one}`))) {
      const { [name]: _left, ...without } = data;
      expect(validateEvent({ ...exampleOf(type), data: without })).toMatchObject([{ pointer: `/data/${name}` }]);
    }
  });

  const sometimes: ReadonlySet<string> = new Set([
    'evenkeel.order.payment_failed.v1 fulfillmentId',
    'evenkeel.order.attention_closed.v1 decisionId',
    'evenkeel.order.attention_closed.v1 action',
  ]);

  test.each<[string, unknown, string]>([
    ['no envelope', null, '/type'],
    ['an unknown type', { ...exampleOf('evenkeel.order.created.v1'), type: 'evenkeel.order.lost.v1' }, '/type'],
    ['a sequence as a number', { ...exampleOf('evenkeel.order.created.v1'), sequence: 1 }, '/sequence'],
    ['a trace that is none', { ...exampleOf('evenkeel.order.created.v1'), traceparent: 'x' }, '/traceparent'],
  ])('says where %s is wrong', (_name, event, pointer) => {
    expect(validateEvent(event)).toMatchObject([{ pointer }]);
  });

  test('takes what every event may have: a trace, and what it replaces', () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const type = 'evenkeel.order.completed.v1';
    const time = new Date('2026-01-02T03:04:05Z');
    const event = { id: eventId, type, time, orderId, sequence: 7, traceparent, replaces: eventId } as const;
    expect(validateEvent(envelope({ ...event, data: { reason: null } }))).toEqual([]);
  });

  test('is published so that fields may be added', () => {
    for (const type of eventTypes) {
      const { schema } = describeEventType(type);
      expect(schema).toMatchObject({ $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object' });
      expect(JSON.stringify(schema)).not.toContain('additionalProperties');
    }
  });

  test('refuses corrected data at each place', () => {
    const wrong = { totalMinor: -1, currency: 'GBP', note: 'x' };
    expect(() => requireDataOf('evenkeel.order.confirmed.v1', wrong)).toThrow(
      expect.objectContaining({
        code: 'invalid_input',
        errors: [
          { pointer: '/data/totalMinor', detail: expect.stringContaining('got -1') },
          { pointer: '/data/note', detail: expect.stringContaining('leave it out') },
        ],
      }),
    );
    const nul = { reason: 'a\0b' };
    expect(() => requireDataOf('evenkeel.order.rejected.v1', nul)).toThrow('/data must not contain NUL');
    expect(() => requireDataOf('evenkeel.order.rejected.v1', { reason: 'no' })).not.toThrow();
  });
});

describe('the types of event', () => {
  test('are listed with version, meaning, schema and example, without asking anybody', async () => {
    const deps = fakes();
    const reply = await (await serve(deps))('GET', '/v1/event-types');
    const { data } = reply.json as { data: { type: string }[] };
    expect(data.map(({ type }) => type)).toEqual(eventTypes);
    expect(data[0]).toMatchObject({
      version: 1,
      description: 'the order was accepted',
      example: { type: 'evenkeel.order.created.v1', subject: orderId, sequence: '0000000001' },
    });
    expect(deps.calls).toEqual([]);
  });
});

describe('events', () => {
  test.each([
    ['type=evenkeel.ordre.*', 'type'],
    ['type=EVENKEEL', 'type'],
    ['subject=x', 'subject'],
    ['since=yesterday', 'since'],
    ['since=0000-01-01T00:00:00Z', 'since'],
    ['since=0999-12-31T23:59:59Z', 'since'],
    ['since=1000-01-01T00:00:00%2B01:00', 'since'],
    ['since=9999-12-31T23:59:59-00:01', 'since'],
    ['limit=201', 'limit'],
    ['cursor=', 'cursor'],
    ['order=1', 'order'],
  ])('asked for with ?%s are refused at %s', async (query, parameter) => {
    const deps = fakes();
    const reply = await (await serve(deps))('GET', `/v1/events?${query}`);
    expect(reply.json).toMatchObject(problem(400, 'invalid_query', { errors: [{ parameter }] }));
    expect(deps.calls).toEqual([]);
  });

  test('with a pattern that takes in nothing say where the types are', async () => {
    const reply = await (await serve(fakes()))('GET', '/v1/events?type=evenkeel.ordre.*');
    expect(reply.text).toContain('evenkeel.ordre.*');
    expect(reply.text).toContain('GET /v1/event-types');
  });

  test('with a cursor that is none of ours are refused', async () => {
    const deps = fakes();
    deps.events.list = () => Promise.reject(new DomainFailure('invalid_input', "cursor 'x' is none of ours"));
    const reply = await (await serve(deps))('GET', '/v1/events?cursor=x');
    expect(reply.json).toMatchObject(problem(422, 'invalid_input', { detail: "cursor 'x' is none of ours" }));
  });

  test('are asked for by all that was named, moments in UTC', async () => {
    const deps = fakes();
    const query = `type=evenkeel.order.*&subject=${orderId.toUpperCase()}&since=2026-01-02T04:04:05%2B01:00&limit=3&cursor=abc`;
    const reply = await (await serve(deps))('GET', `/v1/events?${query}`);
    expect(reply.json).toMatchObject({ data: [{ id: eventId }], nextCursor: null });
    const since = '2026-01-02T03:04:05.000Z';
    expect(deps.calls).toEqual([
      ['events.list', { type: 'evenkeel.order.*', subject: orderId, since, limit: 3, cursor: 'abc' }],
    ]);
  });

  test.each([`/v1/events/${orderId}`, '/v1/events/x'])('that are none are 404: %s', async (path) => {
    const reply = await (await serve(fakes()))('GET', path);
    expect(reply.json).toMatchObject(problem(404, 'not_found', { instance: path }));
  });

  test('are shown with what became of them at each consumer', async () => {
    const deps = fakes();
    const reply = await (await serve(deps))('GET', `/v1/events/${eventId}`);
    expect(reply.json).toEqual(eventDetails());
    expect(deps.lines.at(-1)?.fields).toMatchObject({ eventId });
  });
});
