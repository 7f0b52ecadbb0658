/** Every route × everybody: who is let in, by a table that is written by hand. */
import { describe, expect, test } from 'vitest';
import { apiRoutes } from '../../src/api/app.ts';
import { auditRoutes } from '../../src/api/audit.ts';
import { type Role, roles } from '../../src/domain/access.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import { consumerId, eventId, letterId, newConsumer, redriveId } from './api-delivery-fakes.ts';
import {
  carrierHeaders,
  type Fakes,
  type Reply,
  type Send,
  fakes,
  newOrder,
  orderId,
  problem,
  serve,
} from './api-fakes.ts';

type Who = Role | 'customer';
const who: readonly Who[] = [...roles, 'customer'];

const staff: readonly Who[] = ['read-only', 'shop', 'customer-service', 'operator', 'admin'];
const all: readonly Who[] = [...staff, 'customer'];
const onCall: readonly Who[] = ['operator', 'admin'];
const lookers: readonly Who[] = ['read-only', 'operator', 'admin'];

/**
 * `anybody` needs no token. `signed` is for who signs the body: no token lets in. A new route without a line here fails,
 * so that somebody thinks about who may use it.
 */
const table: Readonly<Record<string, readonly Who[] | 'anybody' | 'signed'>> = {
  'POST /v1/orders': ['shop', 'customer-service', 'admin', 'customer'],
  'GET /v1/orders': all,
  'GET /v1/orders/{id}': all,
  'POST /v1/orders/{id}/cancel': ['shop', 'customer-service', 'operator', 'admin', 'customer'],
  'POST /v1/orders/{id}/decisions': ['customer-service', 'operator', 'admin'],
  'POST /v1/shipping-quotes': all,
  'GET /v1/event-types': all,
  'GET /v1/events': staff,
  'GET /v1/events/{id}': staff,
  'POST /v1/consumers': onCall,
  'GET /v1/consumers': lookers,
  'GET /v1/consumers/{id}': lookers,
  'PATCH /v1/consumers/{id}': onCall,
  'DELETE /v1/consumers/{id}': onCall,
  'POST /v1/consumers/{id}/pause': onCall,
  'POST /v1/consumers/{id}/resume': onCall,
  'POST /v1/consumers/{id}/rotate-secret': onCall,
  'POST /v1/consumers/{id}/ping': onCall,
  'GET /v1/dead-letters': lookers,
  'GET /v1/dead-letters/{id}': lookers,
  'POST /v1/dead-letters/retry': onCall,
  'POST /v1/dead-letters/{id}/retry': onCall,
  'POST /v1/dead-letters/{id}/edit': onCall,
  'POST /v1/dead-letters/{id}/discard': onCall,
  'GET /v1/redrives': lookers,
  'GET /v1/redrives/{id}': lookers,
  'POST /v1/redrives/{id}/pause': onCall,
  'POST /v1/redrives/{id}/resume': onCall,
  'POST /v1/redrives/{id}/stop': onCall,
  'PUT /v1/catalog/{sku}': ['shop', 'operator', 'admin'],
  'GET /v1/catalog/{sku}': all,
  'PUT /v1/stock/{sku}': ['shop', 'operator', 'admin'],
  'GET /v1/stock/{sku}': all,
  'GET /v1/breakers': lookers,
  'GET /v1/breakers/{name}': lookers,
  'POST /v1/breakers/{name}': onCall,
  'GET /v1/slos': lookers,
  'GET /v1/slos/{name}': lookers,
  'GET /v1/slo-reports/{month}': lookers,
  'GET /v1/audit': ['admin'],
  'POST /v1/erasures': ['admin'],
  'POST /codec/decode': onCall,
  'POST /codec/encode': onCall,
  'POST /v1/callbacks/carrier': 'signed',
  'GET /livez': 'anybody',
  'GET /readyz': 'anybody',
  'GET /openapi.json': 'anybody',
  'GET /docs': 'anybody',
  'GET /docs/{asset}': 'anybody',
};

const own = newOrder.customerId;
const tokenOf = (one: Who): string => (one === 'customer' ? `customer:${own}` : one);

const routes = apiRoutes(fakes());
const nameOf = ({ method, path }: { method: string; path: string }): string => `${method.toUpperCase()} ${path}`;

/** A path of something that is there, for whoever may know of it. */
function pathOf(path: string): string {
  const ids: readonly (readonly [prefix: string, id: string])[] = [
    ['/v1/consumers', consumerId],
    ['/v1/dead-letters', letterId],
    ['/v1/events', eventId],
    ['/v1/redrives', redriveId],
    ['/v1/orders', orderId],
  ];
  const id = ids.find(([prefix]) => path.startsWith(prefix))?.[1] ?? 'x';
  return path.replace('{id}', id).replace('{sku}', '85123A').replace('{month}', '2026-01').replace('{name}', 'payment');
}

/** Signed by somebody, but not by the carrier. */
const signed = carrierHeaders({}, { secret: 'a secret of nobody at all' });

/** What a route answers to a body that is as empty as can be: whoever is let in hears of that, and nobody else. */
function ask(send: Send, route: { method: string; path: string }, token: string | null): Promise<Reply> {
  const body = route.method === 'get' ? {} : { body: {} };
  return send(route.method.toUpperCase(), pathOf(route.path), { token, headers: signed, ...body });
}

test('every route has its line', () => {
  const names = [...routes, ...auditRoutes(fakes())].map(nameOf);
  expect(names.filter((name) => !(name in table))).toEqual([]);
});

describe.each(routes.map((route) => [nameOf(route), route] as const))('%s', (name, route) => {
  const line = table[name] ?? [];

  test('lets in who is in the table, and nobody else', async () => {
    const send = await serve(fakes());
    const letIn: Who[] = [];
    for (const one of who) {
      const { status, text } = await ask(send, route, tokenOf(one));
      const isRefused = status === 401 || text.includes('"code":"forbidden"');
      if (!isRefused) letIn.push(one);
    }
    expect(letIn).toEqual(line === 'anybody' ? who : line === 'signed' ? [] : who.filter((one) => line.includes(one)));
  });

  test.each([
    ['none', null],
    ['a wrong one', 'ek_guessed'],
  ])('lets nobody in by a token that is %s, unless it is for anybody', async (_what, token) => {
    const deps = fakes();
    const reply = await ask(await serve(deps), route, token);
    const isRefused = reply.status === 401;
    expect(isRefused).toBe(line !== 'anybody');
    expect(reply.headers.has('www-authenticate')).toBe(isRefused);
    expect(deps.audited).toEqual([]);
    expect(isRefused && deps.calls.length > 0).toBe(false);
  });

  test('asks nothing of any port for who is not let in; of an audited action, the refusal is kept', async () => {
    for (const one of who) {
      if (line === 'anybody' || line === 'signed' || line.includes(one)) continue;
      const deps = fakes();
      await ask(await serve(deps), route, tokenOf(one));
      expect(deps.calls).toEqual([]);
      const refused = { action: route.operationId, outcome: 'denied', subject: pathOf(route.path) };
      expect(deps.audited).toMatchObject(route.audited === true ? [refused] : []);
    }
  });
});

test('what changes things by privilege is audited: all that customers may not do, but looking', () => {
  const unaudited = routes.filter(({ audited, method }) => audited !== true && method !== 'get').map(nameOf);
  const known = new Set([
    'POST /v1/orders',
    'POST /v1/callbacks/carrier',
    // These change nothing.
    'POST /v1/shipping-quotes',
    'POST /codec/decode',
    'POST /codec/encode',
  ]);
  expect(new Set(unaudited)).toEqual(known);
});

describe('a customer', () => {
  const mine = { token: `customer:${own}` };
  const stranger = { token: 'customer:c-other' };
  const unknown = '11111111-2222-4333-8444-555555555555';
  const ofOrders = (id: string) =>
    [
      ['GET', `/v1/orders/${id}`],
      ['GET', `/v1/orders/${id}?wait=confirmed&timeoutMs=1`],
      ['POST', `/v1/orders/${id}/cancel`],
    ] as const;

  /** Everything of an answer that tells one from another, but for the id that was asked for and the trace. */
  const shape = ({ status, text, headers }: Reply, id: string) => ({
    status,
    text: text.replaceAll(id, '<id>').replace(/"traceId":"[^"]*"/, ''),
    headers: [...headers].filter(([name]) => !['date', 'traceid', 'content-length', 'etag'].includes(name)),
    etag: headers.get('etag'),
  });

  test.each(ofOrders(orderId).map(([method, path], at) => [method, path, at] as const))(
    '%s %s of another is answered as if it were not there, and is not touched',
    async (method, path, at) => {
      const deps = fakes();
      const send = await serve(deps);
      const others = await send(method, path, stranger);
      const [, absent = ''] = ofOrders(unknown)[at] ?? [];
      expect(others.status).toBe(404);
      expect(shape(others, orderId)).toEqual(shape(await send(method, absent, stranger), unknown));
      expect(new Set(deps.calls.map(([port]) => port))).toEqual(new Set(['views.find']));
    },
  );

  test.each(ofOrders(orderId))('%s %s of its own is answered', async (method, path) => {
    const { status } = await (await serve(fakes()))(method, path, mine);
    expect(status).toBeLessThan(300);
  });

  test('an ETag that fits tells nothing of another’s order', async () => {
    const send = await serve(fakes());
    for (const headers of [{ 'if-none-match': '*' }, { 'if-none-match': '"7"' }, { 'if-none-match': '"v7"' }]) {
      expect((await send('GET', `/v1/orders/${orderId}`, { ...stranger, headers })).status).toBe(404);
    }
  });

  test.each(['', '?cursor=bmV4dA', '?status=confirmed', '?attention=true', `?customerId=c-other`])(
    'lists its own orders only, whatever it asks for: %s',
    async (query) => {
      const deps = fakes();
      expect((await (await serve(deps))('GET', `/v1/orders${query}`, stranger)).status).toBe(200);
      expect(deps.calls).toEqual([['views.list', expect.objectContaining({ customerId: 'c-other' })]]);
    },
  );

  test('is refused a list of others, and an order in another’s name', async () => {
    const deps = fakes();
    const send = await serve(deps);
    const headers = { 'idempotency-key': 'k-1' };
    expect((await send('GET', `/v1/orders?customerId=${own}`, stranger)).json).toMatchObject(problem(403, 'forbidden'));
    const submitted = await send('POST', '/v1/orders', { ...stranger, headers, body: newOrder });
    expect(submitted.json).toMatchObject(problem(403, 'forbidden'));
    expect(deps.calls).toEqual([]);
  });

  test('is one by its own token, however many roles that names', async () => {
    const deps: Fakes = {
      ...fakes(),
      authenticator: {
        authenticate: () =>
          Promise.resolve({ caller: 'i#c-other', roles: ['admin', 'operator'], customerId: 'c-other' }),
      },
    };
    const send = await serve(deps);
    for (const path of ['/v1/events', '/v1/dead-letters', '/v1/consumers', '/v1/slos']) {
      expect([path, (await send('GET', path)).status]).toEqual([path, 403]);
    }
    expect((await send('GET', `/v1/orders/${orderId}`)).status).toBe(404);
  });
});

describe('an audited action', () => {
  const cases = [
    ['cancelOrder', 'POST', `/v1/orders/${orderId}/cancel`, { reason: 'mind changed' }, 'requests.cancel'],
    ['createConsumer', 'POST', '/v1/consumers', newConsumer, 'consumers.create'],
    ['retryDeadLetter', 'POST', `/v1/dead-letters/${letterId}/retry`, { reason: 'mended' }, 'deadLetters.retry'],
    ['stopRedrive', 'POST', `/v1/redrives/${redriveId}/stop`, { reason: 'enough' }, 'redrives.steer'],
  ] as const;
  const headers = { 'idempotency-key': 'k-1' };

  test.each(cases)('%s is in the log before anything is asked of a port', async (action, method, path, body, port) => {
    const deps = fakes();
    const order: string[] = [];
    deps.auditLog.write = (entry) => {
      order.push(`audit ${entry.outcome} ${entry.action}`);
      expect(deps.calls).toEqual([]);
      return Promise.resolve('aud-1');
    };
    expect((await (await serve(deps))(method, path, { body, headers })).status).toBeLessThan(300);
    expect(order).toEqual([`audit allowed ${action}`]);
    expect(deps.calls.map(([name]) => name)).toContain(port);
  });

  test.each(cases)('%s is not done while the log cannot be written', async (_action, method, path, body) => {
    const deps = fakes();
    deps.auditLog.write = () => Promise.reject(new DomainFailure('store_unavailable', 'away'));
    const send = await serve(deps);
    expect((await send(method, path, { body, headers })).json).toMatchObject(problem(503, 'store_unavailable'));
    expect(deps.calls).toEqual([]);
    // Nor is it told that it is forbidden, for of that there would be no trace.
    const refused = await send(method, path, { body, headers, token: 'read-only' });
    expect(refused.json).toMatchObject(problem(503, 'store_unavailable'));
  });

  test('is kept with who, what, to what, why and in which trace', async () => {
    const deps = fakes();
    const send = await serve(deps);
    await send('POST', `/v1/redrives/${redriveId}/stop?x=`, { body: { reason: 'enough' }, token: 'operator' });
    await send('POST', `/v1/redrives/${redriveId}/stop`, { body: { reason: 'enough' }, token: 'operator' });
    expect(deps.audited).toEqual([
      {
        actor: 'key:operator',
        roles: ['operator'],
        action: 'stopRedrive',
        outcome: 'allowed',
        subject: `/v1/redrives/${redriveId}/stop`,
        reason: 'enough',
        traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
      },
    ]);
  });

  test('on an order leaves its words with the order, for the log keeps them when the customer is forgotten', async () => {
    const deps = fakes();
    const send = await serve(deps);
    const decision = { attentionId: 'a0-1', action: 'retry', reason: 'Ada Lovelace called', actor: 'bob' };
    await send('POST', `/v1/orders/${orderId}/cancel`, { body: { reason: 'I am Ada Lovelace' } });
    await send('POST', `/v1/orders/${orderId}/decisions`, { body: decision });
    expect(deps.audited.map(({ action, reason }) => [action, reason])).toEqual([
      ['cancelOrder', null],
      ['decideOrder', null],
    ]);
  });

  test('that is refused because it is another’s is in the log as refused', async () => {
    const deps = fakes();
    const send = await serve(deps);
    const reply = await send('POST', `/v1/orders/${orderId}/cancel`, { body: {}, token: 'customer:c-other' });
    expect(reply.status).toBe(404);
    const { outcome, action, actor } = deps.audited[0] ?? {};
    expect([deps.audited.length, outcome, action, actor]).toEqual([1, 'denied', 'cancelOrder', 'issuer#c-other']);
  });

  test('is found by its path, however its caller spelled that', async () => {
    const deps = fakes();
    const send = await serve(deps);
    const spelled = `%${(orderId.codePointAt(0) ?? 0).toString(16)}${orderId.slice(1)}`;
    expect((await send('POST', `/v1/orders/${spelled}/c%61ncel`, { body: {} })).status).toBe(404);
    expect((await send('POST', `/v1/orders/${spelled}/cancel`, { body: {} })).status).toBe(202);
    expect((await send('POST', `/v1/orders/${orderId.toUpperCase()}/cancel`, { body: {} })).status).toBe(202);
    await send('PUT', '/v1/stock/A%2fB%41', { body: {}, token: 'read-only' });
    const cancelled = `/v1/orders/${orderId}/cancel`;
    expect(deps.audited.map(({ subject }) => subject)).toEqual([cancelled, cancelled, '/v1/stock/A%2FBA']);
  });
});
