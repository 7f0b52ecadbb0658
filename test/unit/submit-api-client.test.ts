import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { ApiRefusal, ApiUnavailable, createApiClient, Interrupted } from '../../src/commands/api-client.ts';
import { apiUrl } from '../../src/commands/words.ts';
import { type FakeApi, startFakeApi, until } from './submit-api.ts';

let api: FakeApi;
beforeEach(async () => {
  api = await startFakeApi();
});
afterEach(() => api.close());

const never = new AbortController().signal;
const quick = { first: 1, most: 5 };
const HOUR_MS = 3_600_000;
function client(options: Partial<Parameters<typeof createApiClient>[0]> = {}) {
  return createApiClient({ url: new URL(api.url), signal: never, backoffMs: quick, ...options });
}

describe('the client of the API', () => {
  test('gives up an API that is away when its patience is over, saying where and why', async () => {
    const url = new URL(api.url);
    await api.close();
    const failure = client({ url, patienceMs: 50 }).get('/livez');
    await expect(failure).rejects.toThrow(ApiUnavailable);
    await expect(failure).rejects.toThrow(`no answer from the API at ${url.href}: `);
    await expect(failure).rejects.toThrow('ECONNREFUSED');
    api = await startFakeApi();
  });

  test('does not wait at all for a Retry-After beyond its patience', async () => {
    api.trouble = () => ({ status: 503, headers: { 'retry-after': '3600' } });
    await expect(client().get('/livez')).rejects.toThrow(ApiUnavailable);
    expect(api.log).toHaveLength(1);
  });

  test.each([
    ['seconds', () => '1'],
    ['a date', () => new Date(Date.now() + 2_000).toUTCString()],
  ])('waits as long as Retry-After says in %s', async (_name, value) => {
    api.trouble = ({ before }) => (before === 0 ? { status: 429, headers: { 'retry-after': value() } } : undefined);
    const begunAt = performance.now();
    await client().get('/livez');
    expect(performance.now() - begunAt).toBeGreaterThan(900);
    expect(api.log).toHaveLength(2);
  });

  test('has patience with an API that answers others in between', async () => {
    // Its clock stands still but for what each refusal takes: an hour, before which another request is answered.
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => void vi.useRealTimers());
    const shared = client({ patienceMs: 2 * HOUR_MS });
    api.trouble = async ({ path, before }) => {
      if (path !== '/v1/stock/BUSY' || before === 5) return undefined;
      vi.setSystemTime(Date.now() + HOUR_MS);
      await shared.get('/livez');
      return { status: 503 };
    };
    await expect(shared.get('/v1/stock/BUSY')).rejects.toMatchObject({ code: 'not_found' });
    expect(api.log.filter((line) => line === 'GET /livez')).toHaveLength(5);
  });

  test('takes any other refusal as final, with its code and what it says to do', async () => {
    api.trouble = () => ({ status: 409, body: { code: 'conflict', detail: 'below what is reserved' } });
    const failure = client().put('/v1/stock/MUG', { onHand: 1 });
    await expect(failure).rejects.toThrow(ApiRefusal);
    await expect(failure).rejects.toMatchObject({ status: 409, code: 'conflict', message: 'below what is reserved' });
    expect(api.log).toHaveLength(1);
  });

  test('does not follow a redirect, and says where to', async () => {
    api.trouble = () => ({ status: 308, headers: { location: 'https://elsewhere.example/' } });
    await expect(client().get('/livez')).rejects.toThrow('--url https://elsewhere.example/');
  });

  test('drops what only looks at once when it is told to stop, and lets what changes something finish', async () => {
    const stop = new AbortController();
    const held = Promise.withResolvers<undefined>();
    api.trouble = () => held.promise;
    const stoppable = client({ signal: stop.signal });
    const looking = stoppable.get('/livez');
    const changing = stoppable.put('/v1/catalog/MUG', { description: 'Mug', priceMinor: 1, currency: 'GBP' });
    await until(() => api.log.length === 2);
    stop.abort();
    await expect(looking).rejects.toThrow(Interrupted);
    held.resolve(undefined);
    expect((await changing).status).toBe(200);
    await expect(stoppable.get('/livez')).rejects.toThrow(Interrupted);
    expect(api.log).toHaveLength(2);
  });

  test('reaches an API below a path', async () => {
    await expect(client({ url: new URL(`${api.url}/shop/`) }).get('/livez')).rejects.toThrow(ApiRefusal);
    expect(api.log).toEqual(['GET /shop/livez']);
  });
});

describe('where the API is', () => {
  const io = (env: Record<string, string>) => ({ stdout: process.stdout, stderr: process.stderr, env, signal: never });

  test.each([
    [{}, 'http://127.0.0.1:8080/'],
    [{ EVENKEEL_HTTP_HOST: '0.0.0.0', EVENKEEL_HTTP_PORT: '9000' }, 'http://127.0.0.1:9000/'],
    [{ EVENKEEL_HTTP_HOST: '::' }, 'http://[::1]:8080/'],
    [{ EVENKEEL_HTTP_HOST: 'fd00::1' }, 'http://[fd00::1]:8080/'],
  ])('follows from the settings %j', (env, url) => expect(apiUrl(undefined, io(env)).href).toBe(url));

  test('is what --url says, if it says so', () => {
    expect(apiUrl('https://shop.example/api', io({})).href).toBe('https://shop.example/api');
  });
});
