import { type Socket, connect } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createApi } from '../../src/api/app.ts';
import { type ServerLimits, listen } from '../../src/api/server.ts';
import { carrierHeaders, fakes, newOrder, orderId, orderView, problem, serve } from './api-fakes.ts';

const limits: ServerLimits = { headersMs: 200, requestMs: 400, lookEveryMs: 50, connections: 20 };

async function served(deps = fakes()): Promise<{ readonly url: string; readonly port: number }> {
  const server = await listen(createApi(deps), { host: '127.0.0.1', port: 0, drainMs: 100, limits });
  onTestFinished(() => server.close());
  return { url: server.url, port: Number(new URL(server.url).port) };
}

interface Raw {
  readonly socket: Socket;
  /** All that came, once the server has closed the connection. */
  readonly closed: Promise<string>;
  readonly received: () => string;
}

function open(port: number, sent = ''): Raw {
  const socket = connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  const closed = Promise.withResolvers<string>();
  let received = '';
  socket.on('data', (chunk) => (received += chunk.toString('latin1')));
  socket.on('error', () => undefined);
  socket.on('close', () => closed.resolve(received));
  socket.write(sent);
  return { socket, closed: closed.promise, received: () => received };
}

const head = (lines: readonly string[]): string => `${lines.join('\r\n')}\r\n\r\n`;
const post = (...lines: readonly string[]): string =>
  head([
    'POST /v1/orders HTTP/1.1',
    'Host: x',
    'Authorization: Bearer admin',
    'Idempotency-Key: k',
    'Content-Type: application/json',
    ...lines,
  ]);
const alive = async (url: string): Promise<number> => (await fetch(`${url}/livez`)).status;
const statusesIn = (text: string): readonly string[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, s]) => s ?? '');

describe('who is slow', () => {
  test.each([
    ['nothing at all', ''],
    ['a header a moment', 'GET /livez HTTP/1.1\r\nHost: x\r\nX-A: '],
  ])('and sends %s is cut off, and others are served meanwhile', async (_what, start) => {
    const { port, url } = await served();
    const slow = open(port, start);
    const drip = setInterval(() => slow.socket.write('a'), 20);
    if (start === '') clearInterval(drip);
    onTestFinished(() => clearInterval(drip));
    expect(await alive(url)).toBe(200);
    expect(['', '408']).toContain(statusesIn(await slow.closed).join());
  });

  test('with its body is cut off, nothing of it is done, and others are served meanwhile', async () => {
    const deps = fakes();
    const { port, url } = await served(deps);
    const slow = open(port, post('Content-Length: 1000'));
    const drip = setInterval(() => slow.socket.write(' '), 20);
    onTestFinished(() => clearInterval(drip));
    expect(await alive(url)).toBe(200);
    expect(statusesIn(await slow.closed)).toEqual(['408']);
    expect(deps.calls).toEqual([]);
  });
});

describe('a connection', () => {
  test('more than there may be is closed at once; they end, and others are served', async () => {
    const { port, url } = await served();
    const idle = Array.from({ length: limits.connections }, () => open(port));
    await Promise.all(idle.map(({ socket }) => new Promise((resolve) => socket.once('connect', resolve))));
    expect(await open(port, head(['GET /livez HTTP/1.1', 'Host: x'])).closed).toBe('');
    await Promise.all(idle.map(({ closed }) => closed));
    await expect.poll(() => alive(url).catch(() => 0)).toBe(200);
  });

  test('with a hundred requests at once gets the answers in their order', async () => {
    const { port } = await served();
    const paths = Array.from({ length: 100 }, (_, n) => (n % 3 === 0 ? '/livez' : '/nowhere'));
    const { closed } = open(
      port,
      paths
        .map((path, n) => head([`GET ${path} HTTP/1.1`, 'Host: x', ...(n === 99 ? ['Connection: close'] : [])]))
        .join(''),
    );
    expect(statusesIn(await closed)).toEqual(paths.map((path) => (path === '/livez' ? '200' : '404')));
  });

  test('that is kept alive gets its last answer with the word that it is, while the process says that it goes', async () => {
    const deps = fakes();
    const stop = new AbortController();
    deps.draining = stop.signal;
    const server = await listen(createApi(deps), { host: '127.0.0.1', port: 0, drainMs: 60_000, announceMs: 300 });
    const port = Number(new URL(server.url).port);
    const kept = open(port, head(['GET /livez HTTP/1.1', 'Host: x']));
    await expect.poll(() => statusesIn(kept.received())).toEqual(['200']);
    expect(kept.received()).toContain('Connection: keep-alive');
    stop.abort();
    const closed = server.close();
    const probe = open(port, head(['GET /readyz HTTP/1.1', 'Host: x']));
    kept.socket.write(head([`GET /v1/orders/${orderId} HTTP/1.1`, 'Host: x', 'Authorization: Bearer admin']));
    expect(statusesIn(await probe.closed)).toEqual(['503']);
    const answers = await kept.closed;
    expect([statusesIn(answers), answers.match(/^connection: .*$/gim)]).toEqual([
      ['200', '200'],
      ['Connection: keep-alive', 'connection: close'],
    ]);
    await closed;
    await expect(fetch(`${server.url}/livez`)).rejects.toThrow('fetch failed');
  });
});

describe('a body', () => {
  test('that says it is too large is refused before it is sent', async () => {
    const deps = fakes();
    const { port, url } = await served(deps);
    const large = open(port, post('Content-Length: 1000000000'));
    await expect.poll(() => statusesIn(large.received())).toEqual(['413']);
    expect(await alive(url)).toBe(200);
    await large.closed;
    expect(deps.calls).toEqual([]);
  });

  test('that never ends is refused at its limit, and its connection is closed in the end', async () => {
    const deps = fakes();
    const { port, url } = await served(deps);
    const endless = open(port, post('Transfer-Encoding: chunked'));
    const chunk = `10000\r\n${' '.repeat(0x10000)}\r\n`;
    const pour = setInterval(() => endless.socket.write(chunk), 1);
    onTestFinished(() => clearInterval(pour));
    await expect.poll(() => statusesIn(endless.received())[0]).toBe('413');
    expect(await alive(url)).toBe(200);
    await endless.closed;
    expect(deps.calls).toEqual([]);
  });

  const key = { 'idempotency-key': 'k-1', 'content-type': 'application/json' };

  test.each([
    ['brackets', '['.repeat(500_000) + ']'.repeat(500_000)],
    ['brackets that nobody closes', '['.repeat(1_000_000)],
    ['objects', `${'{"a":'.repeat(150_000)}1${'}'.repeat(150_000)}`],
    ['a text that nobody closes', `{"a": "${'x'.repeat(1_000_000)}`],
    ['a text before nonsense', `{"a": "${'\\u0041'.repeat(150_000)}" @}`],
    ['a number', `{"a": ${'9'.repeat(1_000_000)}}`],
    ['members', `{${Array.from({ length: 60_000 }, (_, n) => `"m${n}":0`).join()}}`],
    [
      'items',
      JSON.stringify({ ...newOrder, items: Array.from({ length: 20_000 }, () => ({ sku: 'A', quantity: 1 })) }),
    ],
  ])('of a megabyte of %s is a bad request and no error of ours', async (_what, raw) => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', '/v1/orders', { headers: key, raw });
    expect([400, 422]).toContain(reply.status);
    expect(deps.calls).toEqual([]);
  });

  test.each([
    `{"__proto__": {"polluted": true}}`,
    `{"constructor": {"prototype": {"polluted": true}}}`,
    JSON.stringify(newOrder).replace('{', '{"__proto__": {"polluted": true}, '),
    JSON.stringify(newOrder).replace('"name"', '"__proto__": {"polluted": true}, "name"'),
  ])('cannot change what all objects have: %s', async (raw) => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', '/v1/orders', { headers: key, raw });
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(reply.json).toMatchObject(problem(422, 'invalid_input'));
    expect(deps.calls).toEqual([]);
  });

  test.each(['__proto__[polluted]=1', 'constructor[prototype][polluted]=1', '__proto__=1&__proto__.polluted=1'])(
    'cannot, and neither can a query: %s',
    async (query) => {
      const reply = await (await serve(fakes()))('GET', `/v1/orders?${query}`);
      expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
      expect(reply.json).toMatchObject(problem(400, 'invalid_query'));
    },
  );

  test('that is signed and deep is refused as well', async () => {
    const raw = '['.repeat(500_000);
    const deps = fakes();
    const headers = carrierHeaders({}, { raw });
    const reply = await (await serve(deps))('POST', '/v1/callbacks/carrier', { headers, raw, token: null });
    expect(reply.json).toMatchObject(problem(400, 'malformed_json'));
    expect(deps.calls).toEqual([]);
  });
});

describe('headers', () => {
  test.each([
    ['large', [`X-A: ${'a'.repeat(20_000)}`]],
    ['many', Array.from({ length: 5_000 }, (_, n) => `X-${n}: 1`)],
    ['one and the same, many times', Array.from({ length: 5_000 }, () => 'Idempotency-Key: k')],
  ])('that are too %s are refused', async (_how, lines) => {
    const { port, url } = await served();
    expect(statusesIn(await open(port, head(['GET /livez HTTP/1.1', 'Host: x', ...lines])).closed)).toEqual(['431']);
    expect(await alive(url)).toBe(200);
  });

  test.each([
    ['two lengths', ['Content-Length: 2', 'Content-Length: 30']],
    ['a length and chunks', ['Content-Length: 30', 'Transfer-Encoding: chunked']],
    ['chunks and a length', ['Transfer-Encoding: chunked', 'Content-Length: 30']],
    ['an encoding after chunks', ['Transfer-Encoding: chunked, identity']],
    ['an encoding that is none', ['Transfer-Encoding: xchunked']],
    ['a length that is no number', ['Content-Length: +2']],
    ['a space before the colon', ['Transfer-Encoding : chunked']],
    ['a folded line', ['X-A: b', ' Transfer-Encoding: chunked']],
  ])(
    'that say where a request ends in two ways are refused, and no second request is seen: %s',
    async (_what, lines) => {
      const deps = fakes();
      const { port } = await served(deps);
      const smuggled = head(['GET /v1/orders HTTP/1.1', 'Host: x', 'Authorization: Bearer admin']);
      const { closed } = open(port, `${post(...lines)}0\r\n\r\n${smuggled}`);
      expect(statusesIn(await closed)).toEqual(['400']);
      expect(deps.calls).toEqual([]);
      expect(deps.lines).toEqual([]);
    },
  );

  test.each([
    '/v1/orders/%0d%0aSet-Cookie:%20a=b',
    '/v1/orders%0d%0aSet-Cookie:a=b',
    '/%0d%0a%0d%0a<script>alert(1)</script>',
  ])('of the answer cannot be made by a path: %s', async (path) => {
    const reply = await (await serve(fakes()))('GET', path);
    expect(reply.status).toBe(404);
    expect(reply.headers.get('set-cookie')).toBeNull();
    expect(reply.headers.get('content-type')).toBe('application/problem+json');
  });

  test('of the answer cannot be made by what is stored: Location names only what we named', async () => {
    const deps = fakes();
    const send = await serve(deps);
    const headers = { 'idempotency-key': 'k\'";<x>%0d%0aA: b' };
    const reply = await send('POST', '/v1/orders', { headers, body: newOrder });
    expect([202, 400]).toContain(reply.status);
    expect(reply.headers.get('location') ?? `/v1/orders/${orderView().id}`).toBe(`/v1/orders/${orderView().id}`);
    expect(reply.headers.get('a')).toBeNull();
  });
});

test('a flood of keys that are none is refused, each at once, and leaves nothing behind', async () => {
  const deps = fakes();
  const send = await serve(deps);
  const statuses = new Set<number>();
  for (let n = 0; n < 300; n += 1) {
    const headers = { 'idempotency-key': `${'k'.repeat(300)}${n}` };
    statuses.add((await send('POST', '/v1/orders', { headers, body: newOrder })).status);
  }
  expect([...statuses]).toEqual([400]);
  expect(deps.calls).toEqual([]);
});
