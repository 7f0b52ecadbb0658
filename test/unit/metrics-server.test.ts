import { createServer } from 'node:net';
import { once } from 'node:events';
import { Gauge, Registry } from 'prom-client';
import { afterEach, describe, expect, test } from 'vitest';
import { type MetricsAddress, serveMetrics } from '../../src/api/metrics-server.ts';
import type { Readiness } from '../../src/api/readiness.ts';
import { ListenError } from '../../src/api/server.ts';
import type { Log } from '../../src/telemetry/log.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const lines: string[] = [];
const note = (_fields: object, message: string): void => void lines.push(message);
const log: Log = { info: note, warn: note, error: note };

async function serve(
  sources: Parameters<typeof serveMetrics>[0],
  address: MetricsAddress = { host: '127.0.0.1', port: 0 },
  ready?: Parameters<typeof serveMetrics>[3],
): Promise<string> {
  lines.length = 0;
  const server = await serveMetrics(sources, address, log, ready);
  closing.push(() => server.close());
  return server.url;
}

async function get(url: string, method = 'GET'): Promise<{ status: number; type: string | null; text: string }> {
  const answer = await fetch(url, { method });
  return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() };
}

/** Takes a port, and says which. */
async function taken(port: number): Promise<number | undefined> {
  const server = createServer().listen(port, '127.0.0.1');
  const [event] = await Promise.race([
    once(server, 'listening').then(() => ['listening']),
    once(server, 'error').then(() => ['error']),
  ]);
  if (event === 'error') return undefined;
  closing.push(async () => {
    server.close();
    await once(server, 'close');
  });
  const address = server.address();
  return typeof address === 'object' ? address?.port : undefined;
}

describe('the port', () => {
  test('that was set and is taken is refused, with the name of its setting', async () => {
    const port = await taken(0);
    const failure = serveMetrics([createMetrics(['process'])], { host: '127.0.0.1', port }, log);
    await expect(failure).rejects.toThrow(ListenError);
    await expect(failure).rejects.toThrow(`port ${port} of 127.0.0.1 is taken; set EVENKEEL_METRICS_PORT`);
  });

  test('that nobody set is another one where 9464 is taken, and the log says which', async () => {
    // By this test, or by whoever had it before: taken it is.
    await taken(9464);
    const url = await serve([createMetrics(['process'])], { host: '127.0.0.1', port: undefined });
    expect(new URL(url).port).not.toBe('9464');
    expect(lines).toContain('metrics are served');
    expect((await get(`${url}/metrics`)).status).toBe(200);
  });

  test('of an address that is not ours is refused, whatever the port', async () => {
    const failure = serveMetrics([createMetrics(['process'])], { host: '192.0.2.1', port: undefined }, log);
    await expect(failure).rejects.toThrow(/EVENKEEL_METRICS_HOST/);
  });
});

describe('a scrape', () => {
  test('shows the metrics of all sources, as Prometheus reads them', async () => {
    const ours = createMetrics(['process']);
    const records = createMetrics(['records']);
    records.onScrape(() => records.set('deadLetters', {}, 7));
    ours.count('ordersAccepted', {}, 3);
    const { status, type, text } = await get(`${await serve([ours, records])}/metrics`);
    expect({ status, type }).toEqual({ status: 200, type: Registry.PROMETHEUS_CONTENT_TYPE });
    expect(text.split('\n')).toEqual(
      expect.arrayContaining([
        '# TYPE evenkeel_orders_accepted_total counter',
        'evenkeel_orders_accepted_total 3',
        'evenkeel_dead_letters 7',
      ]),
    );
  });

  test('that cannot be shown is answered with 500, and the next one is shown again', async () => {
    const metrics = createMetrics(['process']);
    let broken = true;
    const gauge = new Gauge({
      name: 'broken',
      help: 'broken',
      registers: [metrics.registry],
      collect() {
        if (broken) throw new Error('of no use');
      },
    });
    gauge.set(1);
    const url = await serve([metrics]);
    const failed = await get(`${url}/metrics`);
    expect(failed.status).toBe(500);
    expect(failed.text).not.toContain('of no use');
    expect(lines).toContain('scrape failed');
    broken = false;
    expect((await get(`${url}/metrics`)).status).toBe(200);
  });

  test('shows what there is where a reader fails, and the log says that one did', async () => {
    const metrics = createMetrics(['process']);
    metrics.onScrape(() => Promise.reject(new Error('the store is away')));
    const { status, text } = await get(`${await serve([metrics])}/metrics`);
    expect(status).toBe(200);
    expect(text).toContain('evenkeel_orders_accepted_total 0');
    expect(lines).toContain('some metrics could not be read');
  });

  test('is one at a time, however many ask', async () => {
    const metrics = createMetrics(['process']);
    const release = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    let shown = 0;
    metrics.onScrape(async () => {
      begun.resolve();
      await release.promise;
    });
    const collect = (): void => void (shown += 1);
    metrics.registry.registerMetric(new Gauge({ name: 'shown', help: 'shown', registers: [], collect }));
    const url = await serve([metrics]);
    const first = get(`${url}/metrics`);
    await begun.promise;
    const others = Array.from({ length: 20 }, () => get(`${url}/metrics`));
    // Each of them has been heard once the server answers something that came after it.
    await get(`${url}/livez`);
    release.resolve();
    const answers = await Promise.all([first, ...others]);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(shown).toBeLessThan(5);
  });
});

test('a reader that does not end is not run again beside itself', async () => {
  const metrics = createMetrics(['process']);
  let reads = 0;
  metrics.onScrape(() => {
    reads += 1;
    return new Promise(() => undefined);
  });
  void metrics.collect();
  void metrics.collect();
  await Promise.resolve();
  expect(reads).toBe(1);
});

test('there is a sign of life, and nothing else', async () => {
  const url = await serve([createMetrics(['process'])]);
  expect(await get(`${url}/livez`)).toMatchObject({ status: 200, text: 'alive\n' });
  for (const [method, path] of [
    ['GET', '/'],
    ['GET', '/metrics/more'],
    ['POST', '/metrics'],
    ['GET', '/v1/orders'],
  ]) {
    expect((await get(`${url}${path}`, method)).status).toBe(404);
  }
});

test('readiness is told with all that is missing, once there is something that serves', async () => {
  let readiness: Readiness | undefined;
  const url = await serve([createMetrics(['process'])], undefined, () => readiness && Promise.resolve(readiness));
  expect((await get(`${url}/readyz`)).status).toBe(404);
  readiness = { status: 'degraded', checks: [{ name: 'temporal', ready: false, detail: 'away' }] };
  const told = await get(`${url}/readyz`);
  expect([told.status, JSON.parse(told.text)]).toEqual([200, readiness]);
  readiness = { status: 'not_ready', checks: [{ name: 'postgres', ready: false }] };
  expect((await get(`${url}/readyz`)).status).toBe(503);
});
