import { asAdmin } from './api-access-fakes.ts';
import { describe, expect, test } from 'vitest';
import type { ConsumerView } from '../../src/domain/consumer-ports.ts';
import { eventTypes } from '../../src/domain/events.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import { consumerId, consumerView, newConsumer, secret } from './api-delivery-fakes.ts';
import { type Fakes, fakes, problem, serve } from './api-fakes.ts';

const key = { 'idempotency-key': 'warehouse-1' };
const path = `/v1/consumers/${consumerId}`;
const stranger = '/v1/consumers/00000000-0000-4000-8000-000000000000';
const nobody = { actor: 'unknown', reason: null };

function withState(deps: Fakes, state: ConsumerView['state'], stateReason: string | null = null): void {
  deps.consumers.find = () => Promise.resolve(consumerView({ state, stateReason }));
}

function namesOf(deps: Fakes): readonly string[] {
  return deps.calls.map(([name]) => name);
}

describe('creating a consumer', () => {
  test('without an idempotency key is refused', async () => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', '/v1/consumers', { body: newConsumer });
    expect(reply.json).toMatchObject(problem(400, 'idempotency_key_missing'));
    expect(reply.text).toContain('for this consumer');
    expect(deps.calls).toEqual([]);
  });

  const { url: _url, ...targetless } = newConsumer;
  const { types: _types, ...typeless } = newConsumer;
  const long = { data: { customerId: 'x'.repeat(4_096) } };
  const deep = JSON.parse(`{"data":${'['.repeat(30)}${']'.repeat(30)}}`) as unknown;
  test.each<[string, unknown, string]>([
    ['neither url nor amqp', targetless, '/url'],
    ['both url and amqp', { ...newConsumer, amqp: {} }, '/amqp'],
    ['a url that is none', { ...newConsumer, url: 'shop.example' }, '/url'],
    ['a url without TLS', { ...newConsumer, url: 'http://shop.example/hooks' }, '/url'],
    ['a url of our own network', { ...newConsumer, url: 'https://10.0.0.7/hooks' }, '/url'],
    ['a url with a password', { ...newConsumer, url: 'https://u:p@shop.example/hooks' }, '/url'],
    ['a url of 2049 characters', { ...newConsumer, url: `https://shop.example/${'x'.repeat(2_028)}` }, '/url'],
    ['a url with NUL', { ...newConsumer, url: 'https://shop.example/a\0b' }, '/url'],
    ['a url with half a character', { ...newConsumer, url: 'https://shop.example/\ud800' }, '/url'],
    ['a url with a line break', { ...newConsumer, url: 'https://shop.example/a\nb' }, '/url'],
    ['a url with a blank before it', { ...newConsumer, url: ' https://shop.example/' }, '/url'],
    ['a url with a blank in it', { ...newConsumer, url: 'https://shop.example/a b' }, '/url'],
    ["the broker's own exchange", { ...targetless, amqp: { exchange: 'amq.topic' } }, '/amqp/exchange'],
    ['our own exchange', { ...targetless, amqp: { exchange: 'evenkeel.orders.dead' } }, '/amqp/exchange'],
    ['the nameless exchange', { ...targetless, amqp: { exchange: '' } }, '/amqp/exchange'],
    ['a queue', { ...targetless, amqp: { queue: 'q' } }, '/amqp/queue'],
    ['both url and mail', { ...newConsumer, mail: {} }, '/mail'],
    ['both amqp and mail', { ...targetless, amqp: {}, mail: {} }, '/mail'],
    ['a sender that is none', { ...targetless, mail: { from: 'shop' } }, '/mail/from'],
    ['two senders', { ...targetless, mail: { from: 'a@b.example,c@d.example' } }, '/mail/from'],
    ['a sender with a line break', { ...targetless, mail: { from: 'A\r\nBcc: x <a@b.example>' } }, '/mail/from'],
    ['a sender with a quote', { ...targetless, mail: { from: '"A" <a@b.example>' } }, '/mail/from'],
    ['a recipient', { ...targetless, mail: { to: 'ada@b.example' } }, '/mail/to'],
    ['no types', typeless, '/types'],
    ['an empty list of types', { ...newConsumer, types: [] }, '/types'],
    ['51 patterns', { ...newConsumer, types: Array.from({ length: 51 }, () => '*') }, '/types'],
    ['a type in capitals', { ...newConsumer, types: ['*', 'Evenkeel.*'] }, '/types/1'],
    ['a type that is none', { ...newConsumer, types: ['evenkeel.order.confirmed'] }, '/types/0'],
    ['a blank name', { ...newConsumer, name: ' ' }, '/name'],
    ['an empty filter', { ...newConsumer, filter: {} }, '/filter'],
    ['a list as filter', { ...newConsumer, filter: ['data'] }, '/filter'],
    ['a filter beside data', { ...newConsumer, filter: { currency: 'GBP' } }, '/filter/currency'],
    ['a filter of over 4 KiB', { ...newConsumer, filter: long }, '/filter'],
    ['a deep filter', { ...newConsumer, filter: deep }, '/filter'],
    ['a filter with NUL', { ...newConsumer, filter: { data: { reason: 'a\0' } } }, '/filter'],
    ['a filter with half a character', { ...newConsumer, filter: { data: { '\ud800': 1 } } }, '/filter'],
    ['nothing in flight', { ...newConsumer, maxInFlight: 0 }, '/maxInFlight'],
    ['1001 in flight', { ...newConsumer, maxInFlight: 1_001 }, '/maxInFlight'],
    ['a secret of its own', { ...newConsumer, secret: 'whsec_AAAA' }, '/secret'],
    ['a state', { ...newConsumer, state: 'paused' }, '/state'],
  ])('with %s is refused at its place', async (_name, body, pointer) => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', '/v1/consumers', { headers: key, body });
    expect(reply.json).toMatchObject(problem(422, 'invalid_input', { errors: [{ pointer }] }));
    expect(deps.calls).toEqual([]);
  });

  test('with a type that is none is told all that there are', async () => {
    const body = { ...newConsumer, types: ['evenkeel.ordre.*'] };
    const reply = await (await serve(fakes()))('POST', '/v1/consumers', { headers: key, body });
    for (const word of ['evenkeel.ordre.*', ...eventTypes]) expect(reply.text).toContain(word);
  });

  test('over AMQP where there is no broker is told who can change that', async () => {
    const deps = { ...fakes(), hasBroker: false };
    const reply = await (
      await serve(deps)
    )('POST', '/v1/consumers', { headers: key, body: { ...targetless, amqp: {} } });
    expect(reply.json).toMatchObject(problem(422, 'invalid_input', { errors: [{ pointer: '/amqp' }] }));
    expect(reply.text).toContain('AMQP_URL');
    expect(deps.calls).toEqual([]);
  });

  test('by mail where there is no mail server is told who can change that', async () => {
    const deps = fakes();
    const reply = await (
      await serve(deps)
    )('POST', '/v1/consumers', { headers: key, body: { ...targetless, mail: {} } });
    expect(reply.json).toMatchObject(problem(422, 'invalid_input', { errors: [{ pointer: '/mail' }] }));
    expect(reply.text).toContain('SMTP_URL');
    expect(deps.calls).toEqual([]);
  });

  test.each([
    [{}, null],
    [{ from: 'Bücher & mehr <shop@b.example>' }, 'Bücher & mehr <shop@b.example>'],
  ])('by mail keeps its sender: %j', async (mail, from) => {
    const deps = { ...fakes(), hasMailServer: true };
    deps.consumers.create = (wanted) =>
      Promise.resolve({ kind: 'created', value: { ...consumerView({ target: wanted.target }), secret } });
    const reply = await (await serve(deps))('POST', '/v1/consumers', { headers: key, body: { ...targetless, mail } });
    expect(reply.json).toMatchObject({ mail: { from } });
    expect(reply.json).not.toHaveProperty('url');
    expect(reply.json).not.toHaveProperty('amqp');
  });

  test.each([
    [new DomainFailure('idempotency_key_reused', 'other body'), 422],
    [new DomainFailure('idempotency_in_progress', 'wait', { retryAfterMs: 1_000 }), 409],
    [new DomainFailure('store_unavailable', 'no database'), 503],
  ])('answers %o as a problem', async (failure, status) => {
    const deps = fakes();
    deps.consumers.create = () => Promise.reject(failure);
    const reply = await (await serve(deps))('POST', '/v1/consumers', { headers: key, body: newConsumer });
    expect(reply.json).toMatchObject(problem(status, failure.code, { detail: failure.message }));
  });

  test('keeps it with its defaults and answers with its secret and its place', async () => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', '/v1/consumers', { headers: key, body: newConsumer });
    expect(reply.status).toBe(201);
    expect(reply.headers.get('location')).toBe(path);
    expect(reply.headers.get('etag')).toBe('"3"');
    expect(reply.json).toMatchObject({ id: consumerId, url: newConsumer.url, enabled: true, secret });
    expect(reply.json).not.toHaveProperty('target');
    const { name, url, types } = newConsumer;
    expect(deps.calls).toEqual([
      [
        'consumers.create',
        { name, target: { kind: 'http', url }, types, filter: null, maxInFlight: 32, enabled: true },
        { caller: 'default', key: 'warehouse-1', bodyHash: expect.stringMatching(/^[0-9a-f]{64}$/) },
        nobody,
      ],
    ]);
  });

  test('again gets the first answer, byte for byte', async () => {
    const deps = fakes();
    const send = await serve(deps);
    const first = await send('POST', '/v1/consumers', { headers: key, body: newConsumer });
    const { health: _health, ...view } = consumerView();
    deps.consumers.create = () => Promise.resolve({ kind: 'replayed', answer: JSON.stringify({ ...view, secret }) });
    const again = await send('POST', '/v1/consumers', { headers: key, body: newConsumer });
    expect([again.status, again.text]).toEqual([201, first.text]);
    expect(again.headers.get('idempotent-replayed')).toBe('true');
    expect(again.headers.get('location')).toBe(path);
    expect(first.headers.get('idempotent-replayed')).toBeNull();
  });

  test('may name an exchange, a filter, a limit, who does it and why, and have it wait', async () => {
    const deps = fakes();
    const filter = { data: { currency: 'GBP' } };
    const more = {
      amqp: { routingKey: 'orders' },
      filter,
      maxInFlight: 2,
      enabled: false,
      actor: 'Ada',
      reason: 'new',
    };
    await (
      await serve(deps)
    )('POST', '/v1/consumers', { headers: key, body: { ...targetless, ...more } });
    expect(deps.calls[0]?.slice(1)).toMatchObject([
      {
        target: { kind: 'amqp', exchange: 'evenkeel.events', routingKey: 'orders' },
        filter,
        maxInFlight: 2,
        enabled: false,
      },
      {},
      { actor: 'Ada', reason: 'new' },
    ]);
  });

  test('keeps its url as it will be sent to', async () => {
    const deps = fakes();
    const body = { ...newConsumer, url: 'HTTPS://Shop.Example:443/a/../ü' };
    await (
      await serve(deps)
    )('POST', '/v1/consumers', { headers: key, body });
    const url = 'https://shop.example/%C3%BC';
    expect(deps.calls[0]).toEqual([
      'consumers.create',
      expect.objectContaining({ target: { kind: 'http', url } }),
      expect.anything(),
      expect.anything(),
    ]);
  });

  test('may go to a network that the operator allows', async () => {
    const deps = { ...fakes(), webhookNetworks: ['127.0.0.0/8'] };
    const body = { ...newConsumer, url: 'http://127.0.0.1:9000/hooks' };
    const reply = await (await serve(deps))('POST', '/v1/consumers', { headers: key, body });
    expect(reply.status).toBe(201);
  });
});

describe('looking at consumers', () => {
  test.each([stranger, '/v1/consumers/x'])('that are none is 404: %s', async (unknown) => {
    const reply = await (await serve(fakes()))('GET', unknown);
    expect(reply.json).toMatchObject(problem(404, 'not_found', { instance: unknown }));
  });

  test('shows one with its health and its version as the ETag', async () => {
    const reply = await (await serve(fakes()))('GET', path);
    const { target: _target, ...rest } = consumerView();
    expect(reply.json).toEqual({ ...rest, url: newConsumer.url, enabled: true });
    expect(reply.headers.get('etag')).toBe('"3"');
  });

  test('shows an exchange, and that it is not enabled', async () => {
    const deps = fakes();
    const target = { kind: 'amqp', exchange: 'evenkeel.events', routingKey: null } as const;
    deps.consumers.find = () => Promise.resolve(consumerView({ target, state: 'disabled', stateReason: '410' }));
    const reply = await (await serve(deps))('GET', path);
    expect(reply.json).toMatchObject({
      amqp: { exchange: 'evenkeel.events', routingKey: null },
      enabled: false,
      state: 'disabled',
      stateReason: '410',
    });
    expect(reply.json).not.toHaveProperty('url');
  });

  test('lists them in pages', async () => {
    const deps = fakes();
    const reply = await (await serve(deps))('GET', '/v1/consumers?limit=3&cursor=abc');
    expect(reply.json).toMatchObject({ data: [{ id: consumerId, url: newConsumer.url }], nextCursor: 'bmV4dA' });
    expect(deps.calls).toEqual([['consumers.list', { limit: 3, cursor: 'abc' }]]);
  });
});

describe('a secret', () => {
  test('is in no answer but those that make one, and in no line of the log', async () => {
    const deps = fakes();
    deps.sender.send = () => Promise.reject(new Error('a bug'));
    const send = await serve(deps);
    const shown = [
      await send('GET', '/v1/consumers'),
      await send('GET', path),
      await send('PATCH', path, { body: { name: 'store' } }),
      await send('POST', `${path}/pause`),
      await send('POST', `${path}/ping`),
      await send('DELETE', path),
    ];
    expect(shown.map(({ text }) => text).join('\n')).not.toMatch(/whsec_|"secret"/);
    const made = [
      await send('POST', '/v1/consumers', { headers: key, body: newConsumer }),
      await send('POST', `${path}/rotate-secret`, { headers: { 'if-match': '"3"' } }),
    ];
    expect(made.map(({ json }) => json)).toMatchObject([{ secret }, { secret }]);
    expect(made.map(({ headers }) => headers.get('cache-control'))).toEqual(['no-store', 'no-store']);
    expect(deps.lines.length).toBeGreaterThanOrEqual(8);
    expect(JSON.stringify(deps.lines)).not.toContain('whsec_');
  });
});

describe('changing a consumer', () => {
  test.each<[string, unknown, string]>([
    ['nothing', {}, ''],
    ['a reason alone', { reason: 'because' }, ''],
    ['two targets', { url: newConsumer.url, amqp: {} }, '/amqp'],
    ['a bad url', { url: 'https://127.0.0.1/hooks' }, '/url'],
    ['a url with NUL', { url: 'https://shop.example/\0' }, '/url'],
    ['a type that is none', { types: ['nothing'] }, '/types/0'],
    ['no name', { name: null }, '/name'],
    ['a state', { name: 'store', state: 'enabled' }, '/state'],
  ])('to %s is refused at its place', async (_name, body, pointer) => {
    const deps = fakes();
    const reply = await (await serve(deps))('PATCH', path, { body });
    expect(reply.json).toMatchObject(problem(422, 'invalid_input', { errors: [{ pointer }] }));
    expect(deps.calls).toEqual([]);
  });

  test('that no version can have is refused as changed, and 404 where there is none', async () => {
    const send = await serve(fakes());
    const request = { body: { name: 'store' }, headers: { 'if-match': 'W/"3"' } };
    expect((await send('PATCH', path, request)).json).toMatchObject(problem(412, 'version_mismatch'));
    expect((await send('PATCH', stranger, request)).json).toMatchObject(problem(404, 'not_found'));
  });

  test('that the store refuses tells the workflow nothing', async () => {
    const deps = fakes();
    deps.consumers.change = () => Promise.reject(new DomainFailure('version_mismatch', 'it is at version 4'));
    const request = { body: { name: 'store' }, headers: { 'if-match': '"3"' } };
    const reply = await (await serve(deps))('PATCH', path, request);
    expect(reply.json).toMatchObject(problem(412, 'version_mismatch', { detail: 'it is at version 4' }));
    expect(deps.calls).toEqual([]);
  });

  test('is kept, told to the workflow of its trouble, and answered with the new version', async () => {
    const deps = fakes();
    const body = { enabled: true, url: 'https://shop.example/new', filter: null, actor: 'Ada', reason: 'mended' };
    const reply = await (await serve(deps))('PATCH', path, { body, headers: { 'if-match': '"3"' } });
    expect([reply.status, reply.headers.get('etag')]).toEqual([200, '"3"']);
    const target = { kind: 'http', url: 'https://shop.example/new' };
    expect(deps.calls).toEqual([
      [
        'consumers.change',
        consumerId,
        { target, filter: null, state: 'enabled' },
        3,
        { actor: 'Ada', reason: 'mended' },
      ],
      ['deliveryWorkflows.tellTrouble', consumerId],
    ]);
  });

  test('to disable it names no version unless one is given', async () => {
    const deps = fakes();
    await (
      await serve(deps)
    )('PATCH', path, { body: { enabled: false } });
    expect(deps.calls[0]).toEqual(['consumers.change', consumerId, { state: 'disabled' }, undefined, nobody]);
  });

  test('is answered though Temporal is away, and the log says so', async () => {
    const deps = fakes();
    deps.deliveryWorkflows.tellTrouble = () => Promise.reject(new DomainFailure('workflow_unavailable', 'away'));
    const reply = await (await serve(deps))('PATCH', path, { body: { name: 'store' } });
    expect(reply.status).toBe(200);
    expect(deps.lines).toContainEqual(expect.objectContaining({ level: 'warn' }));
  });
});

describe('deleting a consumer', () => {
  test('at another version than expected leaves it', async () => {
    const deps = fakes();
    const reply = await (await serve(deps))('DELETE', path, { headers: { 'if-match': '"2"' } });
    expect(reply.json).toMatchObject(
      problem(412, 'version_mismatch', { detail: expect.stringContaining('version 3') }),
    );
    expect(namesOf(deps)).toEqual(['consumers.find']);
  });

  test('that is none is 404', async () => {
    const deps = fakes();
    deps.consumers.remove = () => Promise.reject(new DomainFailure('not_found', 'there is no consumer x'));
    expect((await (await serve(deps))('DELETE', path)).json).toMatchObject(problem(404, 'not_found'));
  });

  test('keeps who did it and why, and answers with nothing', async () => {
    const deps = fakes();
    const reply = await (await serve(deps))('DELETE', `${path}?actor=Ada&reason=closed%20down`);
    expect([reply.status, reply.text, reply.headers.get('content-type')]).toEqual([204, '', null]);
    expect(deps.calls).toEqual([
      ['consumers.remove', consumerId, { actor: 'Ada', reason: 'closed down' }],
      ['deliveryWorkflows.tellTrouble', consumerId],
    ]);
  });
});

describe('pausing and resuming', () => {
  test.each(['pause', 'resume'])('to %s a disabled one is refused, and says how to enable it', async (action) => {
    const deps = fakes();
    withState(deps, 'disabled', 'it answered 410');
    const reply = await (await serve(deps))('POST', `${path}/${action}`);
    expect(reply.json).toMatchObject(problem(409, 'conflict'));
    expect(reply.text).toContain('it answered 410');
    expect(reply.text).toContain('PATCH');
    expect(deps.calls).toEqual([]);
  });

  test.each(['pause', 'resume'])('to %s one that is none is 404', async (action) => {
    const reply = await (await serve(fakes()))('POST', `${stranger}/${action}`);
    expect(reply.json).toMatchObject(problem(404, 'not_found'));
  });

  test.each([
    ['pause', 'paused'],
    ['resume', 'enabled'],
  ] as const)('to %s one that is %s already changes nothing', async (action, state) => {
    const deps = fakes();
    withState(deps, state);
    const reply = await (await serve(deps))('POST', `${path}/${action}`);
    expect([reply.status, reply.json]).toMatchObject([200, { state }]);
    expect(reply.json).not.toHaveProperty('health');
    expect(deps.calls).toEqual([]);
  });

  test.each([
    ['pause', 'enabled', 'paused'],
    ['resume', 'paused', 'enabled'],
  ] as const)('to %s one that is %s makes it %s, as it was seen', async (action, from, to) => {
    const deps = fakes();
    withState(deps, from);
    const body = { actor: 'Ada', reason: 'maintenance' };
    const reply = await (await serve(deps))('POST', `${path}/${action}`, { body });
    expect(reply.status).toBe(200);
    expect(deps.calls).toEqual([
      ['consumers.change', consumerId, { state: to }, 3, body],
      ['deliveryWorkflows.tellTrouble', consumerId],
    ]);
  });

  test('looks again when something else changed it meanwhile, and gives up at last', async () => {
    const deps = fakes();
    const failure = new DomainFailure('version_mismatch', 'it is at version 4');
    const change = deps.consumers.change;
    const answers = [() => Promise.reject(failure), change];
    deps.consumers.change = (...args) => (answers.shift() ?? change)(...args);
    const send = await serve(deps);
    expect((await send('POST', `${path}/pause`)).status).toBe(200);
    expect(namesOf(deps).filter((name) => name === 'consumers.find')).toHaveLength(2);
    deps.consumers.change = () => Promise.reject(failure);
    expect((await send('POST', `${path}/pause`)).json).toMatchObject(problem(412, 'version_mismatch'));
    expect(namesOf(deps).filter((name) => name === 'consumers.find')).toHaveLength(2 + 3);
  });
});

describe('rotating a secret', () => {
  test.each([undefined, '*'])('with If-Match: %s is refused, and says which to send', async (tag) => {
    const deps = fakes();
    const headers = tag === undefined ? {} : { 'if-match': tag };
    const reply = await (await serve(deps))('POST', `${path}/rotate-secret`, { headers });
    expect(reply.json).toMatchObject(problem(428, 'version_missing', { errors: [{ parameter: 'If-Match' }] }));
    expect(reply.text).toContain(`GET ${path}`);
    expect(deps.calls).toEqual([]);
  });

  test('at another version than expected is refused', async () => {
    const deps = fakes();
    deps.consumers.rotateSecret = () => Promise.reject(new DomainFailure('version_mismatch', 'it is at version 4'));
    const reply = await (await serve(deps))('POST', `${path}/rotate-secret`, { headers: { 'if-match': '"3"' } });
    expect(reply.json).toMatchObject(problem(412, 'version_mismatch'));
    expect(reply.text).not.toContain('whsec_');
  });

  test('answers with the new one, once', async () => {
    const deps = fakes();
    const headers = { 'if-match': '"3"' };
    const reply = await (await serve(deps))('POST', `${path}/rotate-secret`, { headers, body: { actor: 'Ada' } });
    expect([reply.status, reply.json]).toMatchObject([200, { id: consumerId, secret }]);
    expect(deps.calls).toEqual([['consumers.rotateSecret', consumerId, { actor: 'Ada', reason: null }, 3]]);
  });
});

describe('a ping', () => {
  test('of a consumer that is none is 404 and sends nothing', async () => {
    const deps = fakes();
    deps.consumers.destination = () => Promise.reject(new DomainFailure('not_found', 'there is no consumer x'));
    expect((await (await serve(deps))('POST', `${path}/ping`)).json).toMatchObject(problem(404, 'not_found'));
    expect(deps.calls).toEqual([]);
  });

  test('that fails is answered with why', async () => {
    const deps = fakes();
    const startedAt = new Date('2026-01-02T03:04:05.000Z');
    const result = { outcome: 'failed', cause: 'tls_failed', status: null, answer: null, error: 'expired' } as const;
    deps.sender.send = () => Promise.resolve({ ...result, retryAfterMs: null, startedAt, durationMs: 7 });
    const reply = await (await serve(deps))('POST', `${path}/ping`);
    expect([reply.status, reply.json]).toMatchObject([200, { ...result, durationMs: 7 }]);
  });

  test('is an event of its own, sent once to where the consumer is, with its secrets', async () => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', `${path}/ping`);
    const [, [, outgoing, to] = []] = deps.calls;
    const { eventId } = reply.json as { eventId: string };
    expect(to).toEqual({ consumerId, target: { kind: 'http', url: newConsumer.url }, secrets: [secret] });
    expect(outgoing).toMatchObject({ eventId, type: 'evenkeel.ping.v1' });
    expect(JSON.parse((outgoing as { body: string }).body)).toMatchObject({
      specversion: '1.0',
      id: eventId,
      type: 'evenkeel.ping.v1',
      subject: consumerId,
    });
    expect(namesOf(deps)).toEqual(['consumers.destination', 'sender.send']);
  });

  test('is given up when the caller goes away', async () => {
    const deps = fakes();
    const sending = Promise.withResolvers<AbortSignal>();
    deps.sender.send = (_outgoing, _to, { signal }) => {
      sending.resolve(signal);
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('stopped')));
      });
    };
    const { url } = await serve(deps);
    const caller = new AbortController();
    const request = fetch(`${url}${path}/ping`, { ...asAdmin, method: 'POST', signal: caller.signal });
    const signal = await sending.promise;
    const stopped = new Promise((resolve) => {
      signal.addEventListener('abort', resolve);
    });
    caller.abort();
    await expect(request).rejects.toThrow('aborted');
    await stopped;
  });
});
