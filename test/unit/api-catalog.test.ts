import { describe, expect, test } from 'vitest';
import { DomainFailure } from '../../src/domain/failures.ts';
import { fakes, problem, serve } from './api-fakes.ts';

const article = { description: 'Heart', priceMinor: 255, currency: 'GBP' };

describe('an article', () => {
  test.each<[string, unknown, string]>([
    ['a negative price', { ...article, priceMinor: -1 }, '/priceMinor'],
    ['a fraction of a penny', { ...article, priceMinor: 2.55 }, '/priceMinor'],
    ['a price beyond exact integers', { ...article, priceMinor: 2 ** 53 }, '/priceMinor'],
    ['an unknown currency', { ...article, currency: 'ABC' }, '/currency'],
    ['no description', { ...article, description: '' }, '/description'],
    ['a sku in the body', { ...article, sku: 'B' }, '/sku'],
  ])('with %s is refused at its place', async (_name, body, pointer) => {
    const deps = fakes();
    const reply = await (await serve(deps))('PUT', '/v1/catalog/A', { body });
    expect(reply.json).toMatchObject(problem(422, 'invalid_input', { errors: [{ pointer }] }));
    expect(deps.calls).toEqual([]);
  });

  test.each(['x'.repeat(65), '%20A', 'caf%C3%A9', '%00', '...%0A'])('cannot be called %s', async (sku) => {
    const send = await serve(fakes());
    const put = await send('PUT', `/v1/catalog/${sku}`, { body: article });
    expect(put.json).toMatchObject(problem(422, 'invalid_input', { errors: [{ parameter: 'sku' }] }));
    const get = await send('GET', `/v1/catalog/${sku}`);
    expect(get.json).toMatchObject(problem(404, 'not_found'));
  });

  test('that nobody has put is 404', async () => {
    const send = await serve(fakes());
    for (const path of ['/v1/catalog/B', '/v1/stock/B']) {
      const reply = await send('GET', path);
      expect(reply.json).toMatchObject(problem(404, 'not_found', { detail: expect.stringContaining('"B"') }));
    }
  });

  test('is put under its name, slashes and blanks included, and read again', async () => {
    const deps = fakes();
    const send = await serve(deps);
    const put = await send('PUT', '/v1/catalog/BANK%20CHARGES%2F1', { body: article });
    expect([put.status, put.json]).toEqual([200, { sku: 'BANK CHARGES/1', ...article }]);
    const get = await send('GET', '/v1/catalog/85123A');
    expect([get.status, get.json]).toEqual([200, { sku: '85123A', ...article }]);
  });
});

describe('stock', () => {
  test.each<[string, unknown, string]>([
    ['nothing', {}, '/onHand'],
    ['a negative level', { onHand: -1 }, '/onHand'],
    ['a level beyond a thousand million', { onHand: 1_000_000_001 }, '/onHand'],
    ['a blank location', { onHand: 1, location: ' ' }, '/location'],
    ['a reservation', { onHand: 1, reserved: 1 }, '/reserved'],
  ])('with %s is refused at its place', async (_name, body, pointer) => {
    const deps = fakes();
    const reply = await (await serve(deps))('PUT', '/v1/stock/A', { body });
    expect(reply.json).toMatchObject(problem(422, 'invalid_input', { errors: [{ pointer }] }));
    expect(deps.calls).toEqual([]);
  });

  test.each([
    ['conflict', 409],
    ['not_found', 404],
  ] as const)('that the store refuses as %s is answered %i', async (code, status) => {
    const deps = fakes();
    deps.catalog.putStock = () => Promise.reject(new DomainFailure(code, '3 are reserved'));
    const reply = await (await serve(deps))('PUT', '/v1/stock/A', { body: { onHand: 1 } });
    expect(reply.json).toMatchObject(problem(status, code, { detail: '3 are reserved' }));
  });

  test('is set at the main location unless another is named', async () => {
    const deps = fakes();
    const send = await serve(deps);
    await send('PUT', '/v1/stock/A', { body: { onHand: 5 } });
    const reply = await send('PUT', '/v1/stock/A', { body: { onHand: 0, location: 'north' } });
    expect(reply.json).toMatchObject({ onHand: 5, reserved: 1 });
    expect(deps.calls).toEqual([
      ['catalog.putStock', 'A', 'main', 5],
      ['catalog.putStock', 'A', 'north', 0],
    ]);
  });
});
