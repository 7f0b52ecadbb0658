import { describe, expect, test } from 'vitest';
import { createApi } from '../../src/api/app.ts';
import { readinessOf } from '../../src/api/readiness.ts';
import { listen } from '../../src/api/server.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import { asAdmin } from './api-access-fakes.ts';
import { fakes, orderId, orderView, problem, serve } from './api-fakes.ts';

const never = () => new Promise<never>(() => {});

describe('readiness', () => {
  test('names what does not answer to operations alone, and to nobody what should stay inside', async () => {
    const deps = fakes();
    deps.readiness = [
      { name: 'postgres', check: () => Promise.reject(new Error('password authentication failed for user bob')) },
      {
        name: 'temporal',
        check: () => Promise.reject(new DomainFailure('workflow_unavailable', 'connection refused')),
      },
      { name: 'carrier', check: () => Promise.resolve() },
    ];
    const told = await readinessOf(deps);
    expect(told).toEqual({
      status: 'not_ready',
      checks: [
        { name: 'postgres', ready: false, detail: 'does not answer' },
        { name: 'temporal', ready: false, detail: 'connection refused' },
        { name: 'carrier', ready: true },
      ],
    });
    expect(deps.lines.filter(({ level }) => level === 'warn').map(({ fields }) => fields['dependency'])).toEqual([
      'postgres',
      'temporal',
    ]);
    const reply = await (await serve(deps))('GET', '/readyz', { token: null });
    expect(reply.headers.get('retry-after')).toBe('2');
    expect(reply.json).toMatchObject(problem(503, 'not_ready'));
    expect(reply.text).not.toMatch(/postgres|temporal|refused|bob/);
  });

  test('is kept while only what requests can do without is away', async () => {
    const deps = fakes();
    const away = () => Promise.reject(new DomainFailure('workflow_unavailable', 'connection refused'));
    deps.readiness = [
      { name: 'postgres', check: () => Promise.resolve() },
      { name: 'temporal', optional: true, check: away },
    ];
    const reply = await (await serve(deps))('GET', '/readyz');
    expect([reply.status, reply.json]).toEqual([200, { status: 'degraded' }]);
  });

  test('does not wait for ever', async () => {
    const deps = fakes();
    deps.readiness = [{ name: 'postgres', check: never }];
    expect(await readinessOf(deps)).toMatchObject({
      status: 'not_ready',
      checks: [{ detail: 'no answer in 2000 ms' }],
    });
  });

  test('is given up while the process stops', async () => {
    const deps = fakes();
    deps.draining = AbortSignal.abort();
    const reply = await (await serve(deps))('GET', '/readyz');
    expect(reply.json).toMatchObject(problem(503, 'not_ready', { detail: 'this process is stopping' }));
    expect(deps.calls).toEqual([]);
  });

  test('is given if everything answers; life asks nobody', async () => {
    const deps = fakes();
    const send = await serve(deps);
    expect((await send('GET', '/livez')).json).toEqual({ status: 'alive' });
    expect(deps.calls).toEqual([]);
    expect((await send('GET', '/readyz')).json).toEqual({ status: 'ready' });
  });
});

describe('the server', () => {
  const local = { host: '127.0.0.1', port: 0 };

  test('says what to do about a taken port', async () => {
    const { url } = await serve(fakes());
    const port = Number(new URL(url).port);
    await expect(listen(createApi(fakes()), { ...local, port })).rejects.toThrow(
      `port ${port} of 127.0.0.1 is taken; set EVENKEEL_HTTP_PORT to a free one`,
    );
  });

  test('says what to do about a host that is not ours', async () => {
    await expect(listen(createApi(fakes()), { ...local, host: '192.0.2.1' })).rejects.toThrow(
      'check EVENKEEL_HTTP_HOST',
    );
  });

  test('lets what is in flight finish, takes nothing new, and then is closed', async () => {
    const deps = fakes();
    const asked = Promise.withResolvers<void>();
    const found = Promise.withResolvers<ReturnType<typeof orderView>>();
    deps.views.find = () => {
      asked.resolve();
      return found.promise;
    };
    const server = await listen(createApi(deps), { ...local, drainMs: 60_000 });
    const inFlight = fetch(`${server.url}/v1/orders/${orderId}`, asAdmin);
    await asked.promise;
    const closed = server.close();
    await expect(fetch(`${server.url}/livez`)).rejects.toThrow('fetch failed');
    found.resolve(orderView());
    expect((await inFlight).status).toBe(200);
    await closed;
  });

  test('breaks off what does not finish in time', async () => {
    const deps = fakes();
    const asked = Promise.withResolvers<void>();
    deps.views.find = () => {
      asked.resolve();
      return never();
    };
    const server = await listen(createApi(deps), { ...local, drainMs: 50 });
    const inFlight = fetch(`${server.url}/v1/orders/${orderId}`, asAdmin);
    inFlight.catch(() => undefined);
    await asked.promise;
    await server.close();
    await expect(inFlight).rejects.toThrow('fetch failed');
  });

  test('closes at once while a caller keeps its idle connection', async () => {
    const server = await listen(createApi(fakes()), { ...local, drainMs: 60_000 });
    await (await fetch(`${server.url}/livez`)).text();
    await expect(server.close()).resolves.toBeUndefined();
  });
});
