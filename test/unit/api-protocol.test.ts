import { connect } from 'node:net';
import { text as readAll } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { newTraceparent, parseTraceparent } from '../../src/telemetry/trace-context.ts';
import { fakes, newOrder, orderId, problem, serve } from './api-fakes.ts';

const key = { 'idempotency-key': 'k-1' };
const json = { 'content-type': 'application/json' };

describe('what is not there', () => {
  test.each([
    '/',
    '/v1',
    '/v1/orders/',
    '/V1/orders',
    '/v2/orders',
    `/v1/orders/${orderId}/`,
    '/docs/../package.json',
    '/docs/%2e%2e%2fpackage.json',
  ])('is 404: %s', async (path) => {
    const reply = await (await serve(fakes()))('GET', path);
    expect(reply.json).toMatchObject(problem(404, 'not_found'));
    expect(reply.headers.get('content-type')).toBe('application/problem+json');
  });

  test.each([
    ['DELETE', '/v1/orders', 'GET, HEAD, POST'],
    ['PUT', `/v1/orders/${orderId}`, 'GET, HEAD'],
    ['GET', `/v1/orders/${orderId}/cancel`, 'POST'],
    ['PATCH', '/v1/stock/A', 'GET, HEAD, PUT'],
    ['OPTIONS', '/livez', 'GET, HEAD'],
    ['POST', '/openapi.json', 'GET, HEAD'],
  ])('is 405 with what is allowed: %s %s', async (method, path, allow) => {
    const reply = await (await serve(fakes()))(method, path);
    expect(reply.json).toMatchObject(problem(405, 'method_not_allowed'));
    expect(reply.headers.get('allow')).toBe(allow);
  });

  test('is 400 if the path cannot be decoded', async () => {
    const reply = await (await serve(fakes()))('GET', '/v1/orders/%zz');
    expect(reply.json).toMatchObject(problem(400, 'malformed_path'));
  });
});

describe('a body', () => {
  test.each([
    ['{"customerId": "c", }', 'position 20'],
    ['', 'empty'],
    ['nonsense', 'position 0'],
    ['\u00ff', 'position 0'],
  ])('that is no JSON is refused with the place: %j', async (raw, place) => {
    const reply = await (await serve(fakes()))('POST', '/v1/orders', { headers: { ...key, ...json }, raw });
    expect(reply.json).toMatchObject(problem(400, 'malformed_json', { detail: expect.stringContaining(place) }));
  });

  test('that is not UTF-8 is refused', async () => {
    const raw = new Uint8Array([0x22, 0xff, 0x22]);
    const reply = await (await serve(fakes()))('POST', '/v1/orders', { headers: { ...key, ...json }, raw });
    expect(reply.json).toMatchObject(problem(400, 'malformed_json', { detail: 'the body is not UTF-8' }));
  });

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/json; charset=latin1',
    'application/jsonp',
    '',
  ])('sent as %j is refused with what is accepted', async (type) => {
    const headers = { ...key, 'content-type': type };
    const reply = await (await serve(fakes()))('POST', '/v1/orders', { headers, raw: JSON.stringify(newOrder) });
    expect(reply.json).toMatchObject(problem(415, 'unsupported_media_type'));
    expect(reply.headers.get('accept')).toBe('application/json');
  });

  test.each([
    'application/json;charset=utf-8',
    'Application/JSON; Charset="UTF-8"',
    'application/json; v=1; charset=utf8',
  ])('sent as %j is read', async (type) => {
    const headers = { ...key, 'content-type': type };
    const reply = await (await serve(fakes()))('POST', '/v1/orders', { headers, raw: JSON.stringify(newOrder) });
    expect(reply.status).toBe(202);
  });

  test('that is compressed is refused', async () => {
    const headers = { ...key, ...json, 'content-encoding': 'gzip' };
    const reply = await (await serve(fakes()))('POST', '/v1/orders', { headers, raw: 'x' });
    expect(reply.json).toMatchObject(problem(415, 'unsupported_media_type'));
  });

  test('over 1 MiB is refused, one of exactly 1 MiB is read', async () => {
    const send = await serve(fakes());
    const body = JSON.stringify(newOrder);
    const padded = (bytes: number) => body + ' '.repeat(bytes - body.length);
    const options = { headers: { ...key, ...json } };
    expect((await send('POST', '/v1/orders', { ...options, raw: padded(1024 * 1024) })).status).toBe(202);
    const reply = await send('POST', '/v1/orders', { ...options, raw: padded(1024 * 1024 + 1) });
    expect(reply.json).toMatchObject(problem(413, 'body_too_large'));
  });

  test('nested a hundred thousand deep is refused and breaks nothing', async () => {
    const raw = `${'[{"a":'.repeat(100_000)}1${'}]'.repeat(100_000)}`;
    const reply = await (await serve(fakes()))('POST', '/v1/orders', { headers: { ...key, ...json }, raw });
    expect(reply.json).toMatchObject(problem(422, 'invalid_input'));
  });

  test('that never ends is given up when its sender goes, without an answer or an error', async () => {
    const deps = fakes();
    const { url } = await serve(deps);
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.write(
      'POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{',
    );
    await new Promise((resolve) => {
      socket.once('ready', resolve);
    });
    socket.destroy();
    await expect.poll(() => deps.lines).toHaveLength(1);
    expect(deps.lines[0]?.fields).toMatchObject({ route: '/v1/orders', status: null, aborted: true });
    expect(deps.calls).toEqual([]);
  });
});

describe('a failure on our side', () => {
  test('shows nothing of itself and goes to the log once, under the same trace', async () => {
    const deps = fakes();
    const cause = new Error('password=hunter2 at db.internal');
    deps.views.find = () => Promise.reject(cause);
    const reply = await (await serve(deps))('GET', `/v1/orders/${orderId}`);
    expect(reply.json).toMatchObject(problem(500, 'internal_error', { instance: `/v1/orders/${orderId}` }));
    expect(reply.text).not.toMatch(/hunter2|db\.internal|at .*\.ts/);
    const errors = deps.lines.filter(({ level }) => level === 'error');
    expect(errors).toHaveLength(1);
    expect(errors[0]?.fields).toMatchObject({ err: cause });
    expect(reply.json).toMatchObject({ traceId: expect.stringMatching(/^[0-9a-f]{32}$/) });
  });
});

describe('every request', () => {
  test('leaves one line that says what became of it', async () => {
    const deps = fakes();
    const send = await serve(deps);
    await send('POST', '/v1/orders', { headers: key, body: newOrder });
    await send('GET', `/v1/orders/${orderId}?wait=confirmed`);
    await send('GET', '/nowhere');
    await send('DELETE', '/v1/orders');
    await expect.poll(() => deps.lines.length).toBe(4);
    const caller = 'key:admin';
    expect(
      deps.lines.map(({ message, fields: { durationMs, ...fields } }) => [message, typeof durationMs, fields]),
    ).toEqual([
      ['request', 'number', { method: 'POST', route: '/v1/orders', status: 202, orderId, caller, replayed: false }],
      ['request', 'number', { method: 'GET', route: '/v1/orders/{id}', status: 200, orderId, caller }],
      ['request', 'number', { method: 'GET', route: '(none)', status: 404 }],
      ['request', 'number', { method: 'DELETE', route: '/v1/orders', status: 405 }],
    ]);
  });

  test('starts a trace of its own; one from outside is only named', async () => {
    const deps = fakes();
    const outside = newTraceparent();
    const { traceId } = parseTraceparent(outside) ?? { traceId: '' };
    const send = await serve(deps);
    await send('POST', '/v1/orders', { headers: { ...key, traceparent: outside }, body: newOrder });
    await send('GET', '/livez', { headers: { traceparent: 'rubbish' } });
    await expect.poll(() => deps.lines.length).toBe(2);
    expect(String(deps.calls[0]?.[3])).not.toContain(traceId);
    expect(deps.lines[0]?.fields).toMatchObject({ linkedTraceId: traceId });
    expect(deps.lines[1]?.fields).not.toHaveProperty('linkedTraceId');
  });

  test.each(['/v1/orders', '/nowhere', '/docs', '/livez'])('to %s is answered with careful headers', async (path) => {
    const { headers } = await (await serve(fakes()))('GET', path);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-powered-by')).toBeNull();
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('content-security-policy')).toMatch(/^default-src 'none'/);
  });

  test('by HEAD gets the headers of GET and no body', async () => {
    const reply = await (await serve(fakes()))('HEAD', `/v1/orders/${orderId}`);
    expect([reply.status, reply.text, reply.headers.get('etag')]).toEqual([200, '', '"7"']);
  });

  test.each([
    ['no HTTP at all\r\n\r\n', '400'],
    [`GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`, '431'],
  ])('that cannot be read gets a problem detail all the same', async (bytes, status) => {
    const { url } = await serve(fakes());
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.write(bytes);
    const answer = await readAll(socket);
    expect(answer).toContain(`HTTP/1.1 ${status} `);
    expect(answer).toContain('application/problem+json');
  });
});
