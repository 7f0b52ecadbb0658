import { connect } from 'node:net';
import { text as readAll } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { canonicalJson } from '../../src/api/json.ts';
import { fakes, newOrder, orderId, problem, serve } from './api-fakes.ts';

const headers = { 'idempotency-key': 'k-1', 'content-type': 'application/json' };

describe('the page', () => {
  test('is shown in nobody else’s frame and shares no window with another origin', async () => {
    const page = await (await serve(fakes()))('GET', '/docs');
    expect(page.headers.get('x-frame-options')).toBe('DENY');
    expect(page.headers.get('cross-origin-opener-policy')).toBe('same-origin');
    expect(page.headers.get('cross-origin-resource-policy')).toBe('same-origin');
    expect(page.headers.get('content-security-policy')).toContain("script-src 'self'");
    // Whether it came over TLS, the ingress knows.
    expect(page.headers.get('strict-transport-security')).toBeNull();
  });
});

describe('a body that would change what all objects inherit', () => {
  const poison = '{"polluted": "yes"}';

  test.each([
    ['of its own', `{"__proto__": ${poison}, `, '{'],
    ['of an item', `"items": [{"__proto__": ${poison}, `, '"items":[{'],
    ['of the address', `"shippingAddress": {"__proto__": ${poison}, `, '"shippingAddress":{'],
    ['by a constructor', `{"constructor": {"prototype": ${poison}}, `, '{'],
  ])('changes none, and is refused or left out: %s', async (_, put, place) => {
    const deps = fakes();
    const raw = JSON.stringify(newOrder).replace(place, put);
    expect(raw).toContain('polluted');
    const reply = await (await serve(deps))('POST', '/v1/orders', { headers, raw });
    expect([202, 422]).toContain(reply.status);
    expect(({} as { polluted?: string }).polluted).toBeUndefined();
    expect(JSON.stringify(deps.calls)).not.toContain('polluted');
  });

  test('is another body than one without it, where bodies are compared', () => {
    const [with_, without] = ['{"a": 1, "__proto__": {"b": 2}}', '{"a": 1}'].map((text) => JSON.parse(text) as unknown);
    expect(canonicalJson(with_)).not.toBe(canonicalJson(without));
  });

  test.each(['__proto__[polluted]=1', 'constructor[prototype][polluted]=1', '__proto__=1'])(
    'is no query either: %s',
    async (query) => {
      const reply = await (await serve(fakes()))('GET', `/v1/orders?${query}`);
      expect(reply.status).toBe(400);
      expect(({} as { polluted?: string }).polluted).toBeUndefined();
    },
  );
});

describe('a line break that would begin a header of the caller’s', () => {
  test.each([
    ['in the path', `/v1/orders/${orderId}%0d%0aX-Injected:%20yes`],
    ['in the query', '/v1/orders?cursor=%0d%0aX-Injected:%20yes'],
    ['in a place that is not there', '/nowhere%0d%0aX-Injected:%20yes'],
  ])('begins none: %s', async (_, path) => {
    const reply = await (await serve(fakes()))('GET', path);
    expect(reply.headers.get('x-injected')).toBeNull();
    expect(reply.status).toBeGreaterThanOrEqual(400);
    expect(reply.status).toBeLessThan(500);
  });

  test('is refused in a header, whether it is a whole one or half of one', async () => {
    const { url } = await serve(fakes());
    for (const end of ['\n', '\r']) {
      const socket = connect(Number(new URL(url).port), '127.0.0.1');
      socket.end(
        `GET /livez HTTP/1.1\r\nHost: x\r\nIdempotency-Key: a${end}X-Injected: yes\r\nConnection: close\r\n\r\n`,
      );
      const answer = await readAll(socket);
      expect(answer.toLowerCase()).not.toContain('\r\nx-injected');
    }
  });

  test('two lengths of one body are no request', async () => {
    const { url } = await serve(fakes());
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.write(
      'POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    );
    expect(await readAll(socket)).toMatch(/^HTTP\/1\.1 400 /);
  });
});

test('without a key nothing is told of what is there', async () => {
  const send = await serve(fakes());
  const [there, nowhere] = [
    await send('GET', `/v1/orders/${orderId}`, { token: null }),
    await send('GET', '/v1/orders/00000000-0000-7000-8000-000000000000', { token: null }),
  ];
  for (const reply of [there, nowhere]) expect(reply.json).toMatchObject(problem(401, 'unauthenticated'));
});
