import { asAdmin } from './api-access-fakes.ts';
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { DomainFailure } from '../../src/domain/failures.ts';
import { parseTraceparent } from '../../src/telemetry/trace-context.ts';
import { fakes, newOrder, orderId, orderView, problem, serve } from './api-fakes.ts';

const key = { 'idempotency-key': '536365' };

describe('submitting an order', () => {
  test('without an idempotency key is refused, and says which to choose', async () => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', '/v1/orders', { body: newOrder });
    expect(reply.status).toBe(400);
    expect(reply.json).toMatchObject(
      problem(400, 'idempotency_key_missing', { errors: [{ parameter: 'idempotency-key' }] }),
    );
    expect(reply.text).toContain('send a key of your own');
    expect(deps.calls).toEqual([]);
  });

  test.each(['', 'k'.repeat(256), 'caf\u00e9', 'tab\there'])('with the key %j is refused', async (bad) => {
    const deps = fakes();
    const reply = await (
      await serve(deps)
    )('POST', '/v1/orders', { body: newOrder, headers: { 'idempotency-key': bad } });
    expect(reply.json).toMatchObject(problem(400, 'invalid_header', { errors: [{ parameter: 'idempotency-key' }] }));
    expect(deps.calls).toEqual([]);
  });

  const { items: _items, ...withoutItems } = newOrder;
  const line = { sku: '85123A', quantity: 1 };
  test.each<[string, unknown, string]>([
    ['no items', withoutItems, '/items'],
    ['an empty list of items', { ...newOrder, items: [] }, '/items'],
    ['1001 items', { ...newOrder, items: Array.from({ length: 1001 }, () => line) }, '/items'],
    ['a quantity of 0', { ...newOrder, items: [{ ...line, quantity: 0 }] }, '/items/0/quantity'],
    ['a negative quantity', { ...newOrder, items: [line, { ...line, quantity: -1 }] }, '/items/1/quantity'],
    ['a quantity beyond a million', { ...newOrder, items: [{ ...line, quantity: 1_000_001 }] }, '/items/0/quantity'],
    ['half a piece', { ...newOrder, items: [{ ...line, quantity: 1.5 }] }, '/items/0/quantity'],
    ['a quantity as text', { ...newOrder, items: [{ ...line, quantity: '1' }] }, '/items/0/quantity'],
    ['an empty sku', { ...newOrder, items: [{ ...line, sku: '' }] }, '/items/0/sku'],
    ['a sku of 65 characters', { ...newOrder, items: [{ ...line, sku: 'x'.repeat(65) }] }, '/items/0/sku'],
    ['a sku that vanishes from a path', { ...newOrder, items: [{ ...line, sku: '..' }] }, '/items/0/sku'],
    ['a currency that is none', { ...newOrder, currency: 'ZZZ' }, '/currency'],
    ['a currency in lower case', { ...newOrder, currency: 'gbp' }, '/currency'],
    ['a price of its own', { ...newOrder, items: [{ ...line, priceMinor: 1 }] }, '/items/0/priceMinor'],
    ['an unknown field whose name needs escaping', { ...newOrder, 'a/b~c': 1 }, '/a~1b~0c'],
    ['a prototype', JSON.parse(JSON.stringify(newOrder).replace('{', '{"__proto__":{},')), '/__proto__'],
    [
      'a NUL in a name',
      { ...newOrder, shippingAddress: { ...newOrder.shippingAddress, name: 'A\0' } },
      '/shippingAddress/name',
    ],
    [
      'half a character',
      { ...newOrder, shippingAddress: { ...newOrder.shippingAddress, city: '\ud800' } },
      '/shippingAddress/city',
    ],
    [
      'a blank city',
      { ...newOrder, shippingAddress: { ...newOrder.shippingAddress, city: ' ' } },
      '/shippingAddress/city',
    ],
    [
      'a country by name',
      { ...newOrder, shippingAddress: { ...newOrder.shippingAddress, country: 'Britain' } },
      '/shippingAddress/country',
    ],
    ['a mailbox without a place', { ...newOrder, email: 'ada' }, '/email'],
    ['two mailboxes', { ...newOrder, email: 'ada@a.example,eve@a.example' }, '/email'],
    ['a mailbox with a line break', { ...newOrder, email: 'ada@a.example\r\nBcc: eve@a.example' }, '/email'],
    ['a mailbox of 255 characters', { ...newOrder, email: `ada@${'a.'.repeat(121)}example.de` }, '/email'],
    ['no payment token', { ...newOrder, payment: {} }, '/payment/token'],
    ['a null customer', { ...newOrder, customerId: null }, '/customerId'],
    ['a list instead of an object', [newOrder], ''],
    ['null', null, ''],
  ])('with %s is refused at its place', async (_name, body, pointer) => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', '/v1/orders', { headers: key, body });
    expect(reply.status).toBe(422);
    expect(reply.headers.get('content-type')).toBe('application/problem+json');
    expect(reply.json).toMatchObject(problem(422, 'invalid_input', { errors: [{ pointer }] }));
    expect(deps.calls).toEqual([]);
  });

  test('with many bad lines lists the first hundred and says how many there are', async () => {
    const items = Array.from({ length: 300 }, () => ({ sku: 'A', quantity: 0 }));
    const reply = await (await serve(fakes()))('POST', '/v1/orders', { headers: key, body: { ...newOrder, items } });
    const { errors, detail } = reply.json as { errors: unknown[]; detail: string };
    expect(errors).toHaveLength(100);
    expect(detail).toContain('299 more');
  });

  test.each([
    [new DomainFailure('idempotency_key_reused', 'other body'), 422, null],
    [new DomainFailure('idempotency_in_progress', 'wait', { retryAfterMs: 1_500 }), 409, '2'],
    [new DomainFailure('store_unavailable', 'no database'), 503, '1'],
  ])('answers %o as a problem', async (failure, status, retryAfter) => {
    const deps = fakes();
    deps.intake.accept = () => Promise.reject(failure);
    const reply = await (await serve(deps))('POST', '/v1/orders', { headers: key, body: newOrder });
    expect(reply.status).toBe(status);
    expect(reply.json).toMatchObject(problem(status, failure.code, { detail: failure.message }));
    expect(reply.headers.get('retry-after')).toBe(retryAfter);
    expect(deps.calls).toEqual([]);
  });

  test('with a SKU that the store does not know names its place', async () => {
    const deps = fakes();
    const errors = [{ pointer: '/items/0/sku', detail: 'unknown SKU' }];
    deps.intake.accept = () => Promise.reject(new DomainFailure('invalid_input', 'unknown SKU', { errors }));
    const reply = await (await serve(deps))('POST', '/v1/orders', { headers: key, body: newOrder });
    expect(reply.json).toMatchObject(problem(422, 'invalid_input', { errors }));
  });

  test('keeps it, starts its workflow and answers with it and its place', async () => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', '/v1/orders', { headers: key, body: newOrder });
    expect(reply.status).toBe(202);
    expect(reply.headers.get('location')).toBe(`/v1/orders/${orderId}`);
    expect(reply.headers.get('idempotent-replayed')).toBeNull();
    expect(reply.headers.get('cache-control')).toBe('no-store');
    expect(reply.text).toBe(JSON.stringify(orderView()));
    expect(deps.calls).toEqual([
      [
        'intake.accept',
        newOrder,
        { caller: 'default', key: '536365', bodyHash: expect.stringMatching(/^[0-9a-f]{64}$/) },
        expect.any(String),
      ],
      ['workflows.start', { orderId, totalMinor: 1530, currency: 'GBP', incarnation: 0 }],
    ]);
    const traceparent = deps.calls[0]?.[3];
    const traceId = typeof traceparent === 'string' ? parseTraceparent(traceparent)?.traceId : undefined;
    expect(traceId).toMatch(/^[0-9a-f]{32}$/);
  });

  test('keeps where mails about it go, and tells nobody', async () => {
    const deps = fakes();
    const body = { ...newOrder, email: 'ada@example.com' };
    const reply = await (await serve(deps))('POST', '/v1/orders', { headers: key, body });
    expect(deps.calls[0]?.slice(0, 2)).toEqual(['intake.accept', body]);
    expect(JSON.stringify([deps.calls.slice(1), deps.lines, reply.text])).not.toContain('ada@example.com');
  });

  test('answers 202 though Temporal is away, and says so in the log', async () => {
    const deps = fakes();
    const away = new DomainFailure('workflow_unavailable', 'no Temporal');
    deps.workflows.start = () => Promise.reject(away);
    const reply = await (await serve(deps))('POST', '/v1/orders', { headers: key, body: newOrder });
    expect(reply.status).toBe(202);
    expect(deps.lines).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        fields: { err: away, orderId },
        message: expect.stringContaining('sweeper'),
      }),
    );
  });

  test('answers 202 though Temporal never answers', async () => {
    const deps = fakes();
    deps.workflows.start = () => new Promise(() => {});
    const reply = await (await serve(deps))('POST', '/v1/orders', { headers: key, body: newOrder });
    expect(reply.status).toBe(202);
    expect(deps.lines.map(({ level }) => level)).toContain('warn');
  });

  test('again gets the first answer byte for byte and starts nothing', async () => {
    const deps = fakes();
    const answer = '{"id":  "as it was", "é": 1}';
    deps.intake.accept = () => Promise.resolve({ kind: 'replayed', answer, orderId });
    const reply = await (await serve(deps))('POST', '/v1/orders', { headers: key, body: newOrder });
    expect([reply.status, reply.text]).toEqual([202, answer]);
    expect(reply.headers.get('idempotent-replayed')).toBe('true');
    expect(reply.headers.get('location')).toBe(`/v1/orders/${orderId}`);
    expect(deps.calls).toEqual([]);
  });

  test('again after the memory is over gets the order as it is now', async () => {
    const deps = fakes();
    deps.intake.accept = () => Promise.resolve({ kind: 'existing', order: orderView({ version: 12 }) });
    const reply = await (await serve(deps))('POST', '/v1/orders', { headers: key, body: newOrder });
    expect(reply.status).toBe(202);
    expect(reply.json).toMatchObject({ version: 12 });
    expect(reply.headers.get('idempotent-replayed')).toBe('true');
    expect(deps.calls).toEqual([]);
  });

  test('in another order of its fields is the same body', async () => {
    const deps = fakes();
    const send = await serve(deps);
    const reversed = Object.fromEntries(Object.entries(newOrder).toReversed());
    const other = { ...newOrder, customerId: 'somebody else' };
    for (const body of [newOrder, reversed, other]) await send('POST', '/v1/orders', { headers: key, body });
    const hashes = deps.calls
      .filter(([name]) => name === 'intake.accept')
      .map(([, , idempotency]) => (idempotency as { bodyHash: string }).bodyHash);
    const canonical =
      '{"currency":"GBP","customerId":"c-17850","items":[{"quantity":6,"sku":"85123A"}],"payment":{"token":"tok_visa"},"shippingAddress":{"city":"London","country":"GB","line1":"1 High St","name":"Ada","postalCode":"N1 9GU"}}';
    expect(hashes[0]).toBe(createHash('sha256').update(canonical).digest('hex'));
    expect(hashes[1]).toBe(hashes[0]);
    expect(hashes[2]).not.toBe(hashes[0]);
  });

  test('may name one SKU twice', async () => {
    const items = [
      { sku: 'BANK CHARGES', quantity: 1 },
      { sku: 'BANK CHARGES', quantity: 2 },
    ];
    const reply = await (await serve(fakes()))('POST', '/v1/orders', { headers: key, body: { ...newOrder, items } });
    expect(reply.status).toBe(202);
  });
});

describe('looking at an order', () => {
  test.each(['/v1/orders/not-a-uuid', '/v1/orders/00000000-0000-4000-8000-000000000000'])(
    'that is none is 404: %s',
    async (path) => {
      const reply = await (await serve(fakes()))('GET', path);
      expect(reply.json).toMatchObject(problem(404, 'not_found', { instance: path }));
    },
  );

  test.each([
    ['wait=delivered', 'wait'],
    ['wait=confirmed&timeoutMs=30001', 'timeoutMs'],
    ['wait=confirmed&timeoutMs=0', 'timeoutMs'],
    ['wait=confirmed&timeoutMs=soon', 'timeoutMs'],
    ['timeoutMs=100', 'timeoutMs'],
    ['wait=confirmed&wait=confirmed', 'wait'],
    ['verbose=1', 'verbose'],
  ])('with ?%s is refused at %s', async (query, parameter) => {
    const deps = fakes();
    const reply = await (await serve(deps))('GET', `/v1/orders/${orderId}?${query}`);
    expect(reply.json).toMatchObject(problem(400, 'invalid_query', { errors: [{ parameter }] }));
    expect(deps.calls).toEqual([]);
  });

  test('shows all of it with its version as the ETag, and in no cache', async () => {
    const reply = await (await serve(fakes()))('GET', `/v1/orders/${orderId.toUpperCase()}`);
    expect(reply.status).toBe(200);
    expect(reply.json).toEqual(orderView());
    expect(reply.headers.get('etag')).toBe('"7"');
    expect(reply.headers.get('cache-control')).toBe('no-store');
  });

  test.each([
    ['"7"', 304],
    ['W/"7"', 304],
    ['"3", "7"', 304],
    ['*', 304],
    ['"6"', 200],
    ['7', 200],
  ])('with If-None-Match: %s answers %i', async (tag, status) => {
    const reply = await (await serve(fakes()))('GET', `/v1/orders/${orderId}`, { headers: { 'if-none-match': tag } });
    expect(reply.status).toBe(status);
    expect(reply.headers.get('etag')).toBe('"7"');
    expect(reply.text === '').toBe(status === 304);
  });

  test('waits for its confirmation as long as it is told', async () => {
    const deps = fakes();
    const send = await serve(deps);
    await send('GET', `/v1/orders/${orderId}?wait=confirmed&timeoutMs=1234`);
    await send('GET', `/v1/orders/${orderId}?wait=confirmed`);
    expect(deps.calls).toEqual([
      ['views.waitForConfirmation', orderId, 1234],
      ['views.waitForConfirmation', orderId, 10_000],
    ]);
  });

  test('stops waiting when the caller goes away', async () => {
    const deps = fakes();
    const waiting = Promise.withResolvers<AbortSignal>();
    deps.views.waitForConfirmation = (_id, _timeoutMs, signal) => {
      waiting.resolve(signal);
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('stopped')));
      });
    };
    const { url } = await serve(deps);
    const caller = new AbortController();
    const request = fetch(`${url}/v1/orders/${orderId}?wait=confirmed`, { ...asAdmin, signal: caller.signal });
    const signal = await waiting.promise;
    const stopped = new Promise((resolve) => {
      signal.addEventListener('abort', resolve);
    });
    caller.abort();
    await expect(request).rejects.toThrow('aborted');
    await stopped;
  });

  test('that is waited for is answered as it is when the process stops', async () => {
    const stopping = new AbortController();
    const deps = { ...fakes(), draining: stopping.signal };
    const waiting = Promise.withResolvers<void>();
    deps.views.waitForConfirmation = (_id, _timeoutMs, signal) => {
      waiting.resolve();
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('stopped')));
      });
    };
    const send = await serve(deps);
    const reply = send('GET', `/v1/orders/${orderId}?wait=confirmed`);
    await waiting.promise;
    stopping.abort();
    expect((await reply).json).toEqual(orderView());
  });
});

describe('listing orders', () => {
  test.each([
    ['status=lost', 'status'],
    ['limit=0', 'limit'],
    ['limit=201', 'limit'],
    ['limit=many', 'limit'],
    ['attention=maybe', 'attention'],
    ['customerId=%00', 'customerId'],
    ['cursor=', 'cursor'],
    ['page=2', 'page'],
  ])('with ?%s is refused at %s', async (query, parameter) => {
    const deps = fakes();
    const reply = await (await serve(deps))('GET', `/v1/orders?${query}`);
    expect(reply.json).toMatchObject(problem(400, 'invalid_query', { errors: [{ parameter }] }));
    expect(deps.calls).toEqual([]);
  });

  test('with a cursor that is none of ours says so', async () => {
    const deps = fakes();
    deps.views.list = () => Promise.reject(new DomainFailure('invalid_input', 'cursor "x" is none of ours'));
    const reply = await (await serve(deps))('GET', '/v1/orders?cursor=x');
    expect(reply.json).toMatchObject(problem(422, 'invalid_input', { detail: 'cursor "x" is none of ours' }));
  });

  test('passes every filter on and answers with a page', async () => {
    const deps = fakes();
    const send = await serve(deps);
    const reply = await send('GET', '/v1/orders?status=in_review&customerId=c%201&attention=false&limit=3&cursor=abc');
    expect(reply.json).toMatchObject({ data: [{ id: orderId }], nextCursor: 'bmV4dA' });
    await send('GET', '/v1/orders?attention=true');
    expect(deps.calls).toEqual([
      ['views.list', { status: 'in_review', customerId: 'c 1', attention: false, limit: 3, cursor: 'abc' }],
      ['views.list', { attention: true, limit: 50 }],
    ]);
  });
});
