import { describe, expect, test } from 'vitest';
import { DomainFailure } from '../../src/domain/failures.ts';
import { consumerId, eventId, letterDetails, letterId, redriveId, redriveView } from './api-delivery-fakes.ts';
import { fakes, orderId, problem, serve } from './api-fakes.ts';

const path = `/v1/dead-letters/${letterId}`;
const nobody = { actor: 'unknown', reason: null };
const corrected = { totalMinor: 1530, currency: 'EUR' };
const done = new DomainFailure('conflict', 'it was discarded on Monday');

describe('listing dead letters', () => {
  test.each([
    ['consumer=x', 'consumer'],
    ['cause=HTTP 500', 'cause'],
    ['type=evenkeel.ordre.*', 'type'],
    ['subject=x', 'subject'],
    ['since=2026-01-02', 'since'],
    ['until=later', 'until'],
    ['groupBy=order', 'groupBy'],
    ['groupBy=cause&cursor=abc', 'cursor'],
    ['limit=0', 'limit'],
    ['consumerId=x', 'consumerId'],
  ])('with ?%s is refused at %s', async (query, parameter) => {
    const deps = fakes();
    const reply = await (await serve(deps))('GET', `/v1/dead-letters?${query}`);
    expect(reply.json).toMatchObject(problem(400, 'invalid_query', { errors: [{ parameter }] }));
    expect(deps.calls).toEqual([]);
  });

  const query = `consumer=${consumerId}&cause=http_500&type=evenkeel.*&subject=${orderId}&since=2026-01-02T04:04:05%2B01:00&until=2026-01-03T00:00:00Z`;
  const filter = {
    consumerId,
    cause: 'http_500',
    type: 'evenkeel.*',
    orderId,
    since: '2026-01-02T03:04:05.000Z',
    until: '2026-01-03T00:00:00.000Z',
  };

  test('passes every filter on and answers with a page', async () => {
    const deps = fakes();
    const reply = await (await serve(deps))('GET', `/v1/dead-letters?${query}&limit=3&cursor=abc`);
    expect(reply.json).toMatchObject({ data: [{ id: letterId, cause: 'http_500' }], nextCursor: 'bmV4dA' });
    expect(deps.calls).toEqual([['deadLetters.list', filter, { limit: 3, cursor: 'abc' }]]);
  });

  test.each(['cause', 'consumer', 'type'])('counts them by %s, of what the filter leaves', async (groupBy) => {
    const deps = fakes();
    const reply = await (await serve(deps))('GET', `/v1/dead-letters?${query}&groupBy=${groupBy}`);
    expect(reply.json).toMatchObject({ groupBy, groups: [{ key: 'http_500', count: 3 }] });
    expect(deps.calls).toEqual([['deadLetters.groups', filter, groupBy]]);
  });
});

describe('looking at a dead letter', () => {
  test.each(['/v1/dead-letters/82', '/v1/dead-letters/x', '/v1/dead-letters/0', '/v1/dead-letters/9'.padEnd(60, '9')])(
    'that is none is 404: %s',
    async (unknown) => {
      const reply = await (await serve(fakes()))('GET', unknown);
      expect(reply.json).toMatchObject(problem(404, 'not_found', { instance: unknown }));
    },
  );

  test('shows the event, every attempt and what people did', async () => {
    const reply = await (await serve(fakes()))('GET', path);
    expect(reply.json).toEqual(letterDetails());
  });
});

describe('one dead letter', () => {
  test.each([
    ['retry', undefined],
    ['edit', { data: corrected, reason: 'wrong currency' }],
    ['discard', { reason: 'a test order' }],
  ] as const)('that is none any more is not for %s', async (action, body) => {
    const deps = fakes();
    deps.deadLetters[action] = (): Promise<never> => Promise.reject(done);
    const reply = await (await serve(deps))('POST', `${path}/${action}`, body === undefined ? {} : { body });
    expect(reply.json).toMatchObject(problem(409, 'conflict', { detail: done.message }));
  });

  test.each([
    ['retry', undefined],
    ['edit', { data: corrected, reason: 'wrong currency' }],
  ] as const)('that never was is not for %s', async (action, body) => {
    const deps = fakes();
    const options = body === undefined ? {} : { body };
    const reply = await (await serve(deps))('POST', `/v1/dead-letters/82/${action}`, options);
    expect(reply.json).toMatchObject(problem(404, 'not_found', { detail: expect.stringContaining('82') }));
    expect(deps.calls).toEqual([['deadLetters.find', '82']]);
  });

  test.each([
    ['edit', { data: corrected }, '/reason'],
    ['edit', { reason: 'wrong currency' }, '/data'],
    ['edit', { data: [corrected], reason: 'wrong currency' }, '/data'],
    ['edit', { data: {}, reason: 'empty' }, '/data/totalMinor'],
    ['edit', { data: { ...corrected, totalMinor: '15' }, reason: 'text' }, '/data/totalMinor'],
    ['edit', { data: { ...corrected, iban: 'x' }, reason: 'more' }, '/data/iban'],
    ['discard', {}, '/reason'],
    ['discard', { reason: ' ' }, '/reason'],
    ['discard', { reason: 'x', actor: '' }, '/actor'],
    ['retry', { why: 'x' }, '/why'],
  ])('is refused an %s with %j', async (action, body, pointer) => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', `${path}/${action}`, { body });
    const { errors } = reply.json as { errors: { pointer: string }[] };
    expect(reply.json).toMatchObject(problem(422, 'invalid_input'));
    expect(errors[0]?.pointer).toBe(pointer);
    expect(deps.calls.filter(([name]) => name !== 'deadLetters.find')).toEqual([]);
  });

  test('is sent again as it is', async () => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', `${path}/retry`);
    expect([reply.status, reply.json]).toEqual([202, { id: letterId, eventId }]);
    expect(reply.headers.get('location')).toBe(`/v1/events/${eventId}`);
    expect(deps.calls.at(-1)).toEqual(['deadLetters.retry', letterId, nobody]);
    expect(deps.lines.at(-1)?.fields).toMatchObject({ deadLetterId: letterId });
  });

  test('is sent corrected, as an event of its own that says what it replaces', async () => {
    const deps = fakes();
    const body = { data: corrected, actor: 'Ada', reason: 'wrong currency' };
    const reply = await (await serve(deps))('POST', `${path}/edit`, { body });
    expect([reply.status, reply.json]).toEqual([202, { replaces: eventId, eventId: redriveId, deliveryId: '82' }]);
    expect(reply.headers.get('location')).toBe(`/v1/events/${redriveId}`);
    expect(deps.calls.at(-1)).toEqual([
      'deadLetters.edit',
      letterId,
      corrected,
      { actor: 'Ada', reason: 'wrong currency' },
    ]);
  });

  test('is given up with who and why', async () => {
    const deps = fakes();
    const body = { actor: 'Ada', reason: 'a test order' };
    const reply = await (await serve(deps))('POST', `${path}/discard`, { body });
    expect([reply.status, reply.text]).toEqual([204, '']);
    expect(deps.calls).toEqual([['deadLetters.discard', letterId, body]]);
  });
});

describe('sending many again', () => {
  const retry = '/v1/dead-letters/retry';
  const key = { 'idempotency-key': 'monday' };
  const filter = { consumerId, cause: 'http_500' };

  test.each<[string, unknown, string]>([
    ['nothing', {}, '/filter'],
    ['an empty filter', { filter: {} }, '/filter'],
    ['all that is not true', { all: false }, '/all'],
    ['all and a filter', { all: true, filter }, '/all'],
    ['a filter of another name', { filter: { consumer: consumerId } }, '/filter/consumer'],
    ['a type that is none', { filter: { type: 'evenkeel.ordre.*' } }, '/filter/type'],
    ['no rate', { filter, ratePerSecond: 0 }, '/ratePerSecond'],
    ['a rate beyond a thousand', { filter, ratePerSecond: 1_001 }, '/ratePerSecond'],
    ['a dry run in words', { filter, dryRun: 'yes' }, '/dryRun'],
  ])('with %s is refused at its place, and sends nothing', async (_name, body, pointer) => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', retry, { body, headers: key });
    const { errors } = reply.json as { errors: { pointer: string }[] };
    expect(reply.json).toMatchObject(problem(422, 'invalid_input'));
    expect(errors.map((error) => error.pointer)).toContain(pointer);
    expect(deps.calls).toEqual([]);
  });

  test('with an empty filter is told how to mean everything', async () => {
    const reply = await (await serve(fakes()))('POST', retry, { body: { filter: {} }, headers: key });
    expect((reply.json as { detail: string }).detail).toContain('"all": true');
  });

  test('without a key is refused, unless it is a dry run', async () => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', retry, { body: { filter } });
    expect(reply.json).toMatchObject(
      problem(400, 'idempotency_key_missing', { errors: [{ parameter: 'idempotency-key' }] }),
    );
    expect(deps.calls).toEqual([]);
  });

  test('as a dry run says how many of which, and changes nothing', async () => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', retry, { body: { filter, dryRun: true } });
    expect([reply.status, reply.json]).toMatchObject([200, { count: 3, byCause: [{ key: 'http_500' }] }]);
    expect(deps.calls.map(([name, ...args]) => [name, args[1]]).toSorted()).toEqual([
      ['deadLetters.count', undefined],
      ['deadLetters.groups', 'cause'],
      ['deadLetters.groups', 'consumer'],
      ['deadLetters.groups', 'type'],
    ]);
    expect(deps.calls.every(([, asked]) => JSON.stringify(asked) === JSON.stringify(filter))).toBe(true);
  });

  test('is kept, started, and answered with its place', async () => {
    const deps = fakes();
    const body = { filter, ratePerSecond: 2, actor: 'Ada', reason: 'mended' };
    const reply = await (await serve(deps))('POST', retry, { body, headers: key });
    expect([reply.status, reply.json]).toEqual([202, redriveView()]);
    expect(reply.headers.get('location')).toBe(`/v1/redrives/${redriveId}`);
    expect(deps.calls).toEqual([
      [
        'redrives.create',
        { filter, ratePerSecond: 2 },
        { caller: 'default', key: 'monday', bodyHash: expect.stringMatching(/^[0-9a-f]{64}$/) },
        { actor: 'Ada', reason: 'mended' },
      ],
      ['deliveryWorkflows.startRedrive', redriveId],
    ]);
  });

  test('takes in everything if that is said', async () => {
    const deps = fakes();
    await (
      await serve(deps)
    )('POST', retry, { body: { all: true }, headers: key });
    expect(deps.calls[0]?.[1]).toEqual({ filter: {}, ratePerSecond: 10 });
  });

  test('is answered though Temporal is away, for the sweeper starts it', async () => {
    const deps = fakes();
    deps.deliveryWorkflows.startRedrive = () => Promise.reject(new DomainFailure('workflow_unavailable', 'away'));
    const reply = await (await serve(deps))('POST', retry, { body: { filter }, headers: key });
    expect(reply.status).toBe(202);
    expect(deps.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', message: expect.stringContaining('sweeper') }),
    );
  });

  test('again gets the first answer and starts nothing', async () => {
    const deps = fakes();
    const answer = JSON.stringify(redriveView({ sent: 0 }));
    deps.redrives.create = () => Promise.resolve({ kind: 'replayed', answer });
    const reply = await (await serve(deps))('POST', retry, { body: { filter }, headers: key });
    expect([reply.status, reply.text]).toEqual([202, answer]);
    expect(reply.headers.get('idempotent-replayed')).toBe('true');
    expect(reply.headers.get('location')).toBe(`/v1/redrives/${redriveId}`);
    expect(deps.calls).toEqual([]);
  });
});

describe('a redrive', () => {
  const redrive = `/v1/redrives/${redriveId}`;

  test.each([`/v1/redrives/${orderId}`, '/v1/redrives/x'])('that is none is 404: %s', async (unknown) => {
    const reply = await (await serve(fakes()))('GET', unknown);
    expect(reply.json).toMatchObject(problem(404, 'not_found', { instance: unknown }));
  });

  test('is shown, and listed in pages', async () => {
    const deps = fakes();
    const send = await serve(deps);
    expect((await send('GET', redrive)).json).toEqual(redriveView());
    expect((await send('GET', '/v1/redrives?limit=3')).json).toEqual({ data: [redriveView()], nextCursor: null });
    expect(deps.calls.at(-1)).toEqual(['redrives.list', { limit: 3 }]);
  });

  test.each(['pause', 'resume', 'stop'])('that is at its end is not for %s', async (wish) => {
    const deps = fakes();
    deps.redrives.steer = () => Promise.reject(new DomainFailure('conflict', 'it is completed'));
    const reply = await (await serve(deps))('POST', `${redrive}/${wish}`);
    expect(reply.json).toMatchObject(problem(409, 'conflict', { detail: 'it is completed' }));
    expect(deps.calls).toEqual([]);
  });

  test.each(['pause', 'resume', 'stop'])('is kept as it shall be, then told to %s', async (wish) => {
    const deps = fakes();
    const body = { actor: 'Ada', reason: 'lunch' };
    const reply = await (await serve(deps))('POST', `${redrive}/${wish}`, { body });
    expect([reply.status, reply.json]).toEqual([200, redriveView()]);
    expect(deps.calls).toEqual([
      ['redrives.steer', redriveId, wish, body],
      ['deliveryWorkflows.tellRedrive', redriveId],
    ]);
  });

  test('is answered though Temporal is away', async () => {
    const deps = fakes();
    deps.deliveryWorkflows.tellRedrive = () => Promise.reject(new DomainFailure('workflow_unavailable', 'away'));
    expect((await (await serve(deps))('POST', `${redrive}/pause`)).status).toBe(200);
    expect(deps.lines).toContainEqual(expect.objectContaining({ level: 'warn' }));
  });
});
