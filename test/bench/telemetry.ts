/**
 * `node test/bench/telemetry.ts [seconds] [rounds]`: what telemetry costs. Two shops beside each other, on the same
 * servers and at the same time, so that whatever else the machine does befalls both: one that nobody watches (`bare`),
 * and one that counts, judges and is scraped (`metrics`), or sends traces of all that too (`traced`). Each has as many
 * orders under way as the other. Says how many came to their end, what CPU time each shop took while nothing happened,
 * and how much more an order took.
 */
import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client as Temporal, Connection } from '@temporalio/client';
import { Client } from 'pg';
import { migrate } from '../../src/adapters/postgres/migrate.ts';
import { ensureSearchAttributes } from '../../src/adapters/temporal/search-attributes.ts';
import { freePort } from '../../src/embedded/ports.ts';
import { startParts } from '../../src/embedded/start-parts.ts';
import { adminKey } from '../support/admin-key.ts';
import { type Env, Program } from '../support/program.ts';
import { callbackSecret, startSandbox } from '../support/sandbox.ts';
import { startTestConsumer } from '../support/test-consumer.ts';
import { waitFor } from '../support/wait.ts';

const [seconds = '60', rounds = '3'] = process.argv.slice(2);
const IDLE_MS = 20_000;
const WARM_UP_MS = 45_000;
const AT_A_TIME = 12;
const SCRAPE_MS = 5_000;

type Variant = 'bare' | 'metrics' | 'traced';

interface Shop {
  /** From now on it has orders. */
  begin(): void;
  /** Orders at their end, and CPU seconds of its API and worker, so far. */
  done(): Promise<{ readonly orders: number; readonly cpu: number }>;
  stop(): Promise<void>;
}

const folder = await mkdtemp(join(tmpdir(), 'evenkeel-bench-'));
// As root, PostgreSQL runs as somebody else, who must pass through.
await chmod(folder, 0o711);
const parts = await startParts({
  dataDir: join(folder, 'data'),
  env: process.env,
  report: (line) => console.log(line),
  postgres: { database: 'postgres' },
  temporal: { port: 0, uiPort: 0, namespace: 'default' },
});
const { databaseUrl, temporalAddress } = parts;
if (databaseUrl === undefined || temporalAddress === undefined) throw new Error('the servers have no addresses');

/** A collector that is somewhere else: it takes all and looks at nothing. */
const collector = createServer((request, response) => {
  request.resume();
  request.on('end', () => response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end());
});
await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;

async function database(): Promise<string> {
  const name = `bench_${randomUUID().replaceAll('-', '')}`;
  const admin = new Client({ connectionString: databaseUrl });
  await admin.connect();
  await admin.query(`create database ${name}`);
  await admin.end();
  const url = new URL(databaseUrl ?? '');
  url.pathname = name;
  await migrate(url.href);
  return url.href;
}

async function open(variant: Variant): Promise<Shop> {
  const url = await database();
  const namespace = await ownNamespace();
  const sql = new Client({ connectionString: url });
  await sql.connect();
  const port = await freePort();
  const api = `http://127.0.0.1:${port}`;
  const sandbox = await startSandbox({
    callbackUrl: `${api}/v1/callbacks/carrier`,
    dispatchAfterMs: 0,
    deliverAfterMs: 0,
  });
  const env: Env = {
    DATABASE_URL: url,
    TEMPORAL_ADDRESS: temporalAddress,
    TEMPORAL_NAMESPACE: namespace,
    PAYMENT_GATEWAY_URL: sandbox.url,
    CARRIER_URL: sandbox.url,
    CARRIER_CALLBACK_SECRET: callbackSecret,
    EVENKEEL_HTTP_PORT: String(port),
    EVENKEEL_METRICS_PORT: '0',
    EVENKEEL_SHED_AGE_MS: '600000',
    EVENKEEL_WEBHOOK_NETWORKS: '127.0.0.0/8',
    EVENKEEL_REVIEW_ORDERS_PER_HOUR: '1000000',
    ...(variant === 'bare' ? { NODE_OPTIONS: `--import ${import.meta.resolve('./bare/hook.ts')}` } : {}),
    ...(variant === 'traced' ? { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } : {}),
  };
  const programs = [new Program(['api'], env), new Program(['worker'], env)];
  await Promise.all([programs[0]?.start('evenkeel api listens'), programs[1]?.start('evenkeel worker runs')]);
  const scraping = variant === 'bare' ? undefined : setInterval(() => void scrape(programs), SCRAPE_MS);
  const by = { authorization: `Bearer ${await adminKey(url)}` };
  const request = async (method: string, path: string, body?: unknown, key = randomUUID()): Promise<unknown> => {
    const response = await fetch(`${api}${path}`, {
      method,
      headers: { ...by, 'content-type': 'application/json', 'idempotency-key': key },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (response.status === 503) return delay(200).then(() => request(method, path, body, key));
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return JSON.parse(text);
  };
  await request('PUT', '/v1/catalog/LANTERN', { description: 'LANTERN', priceMinor: 1_000, currency: 'GBP' });
  await request('PUT', '/v1/stock/LANTERN', { onHand: 1_000_000 });
  const consumer = await startTestConsumer();
  await request('POST', '/v1/consumers', { name: 'bench', url: consumer.url, types: ['evenkeel.order.*'] });

  const closing = new AbortController();
  let lanes: readonly Promise<void>[] = [];
  const lane = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      const { id } = (await request('POST', '/v1/orders', order)) as { readonly id: string };
      await request('GET', `/v1/orders/${id}?wait=confirmed&timeoutMs=30000`);
    }
  };
  const pids = programs.map(({ pid }) => pid);
  return {
    begin() {
      lanes = Array.from({ length: AT_A_TIME }, lane);
    },
    async done() {
      const { rows } = await sql.query<{ orders: number }>(
        'select count(*)::int as orders from orders where finished_at is not null',
      );
      return { orders: rows[0]?.orders ?? 0, cpu: await cpu(pids) };
    },
    async stop() {
      closing.abort();
      await Promise.all(lanes);
      clearInterval(scraping);
      await Promise.all(programs.map((program) => program.end('SIGTERM')));
      await Promise.all([sql.end(), consumer.close(), sandbox.stop()]);
    },
  };
}

/** Both at once. Resolves with what the watched one did against the bare one, as shares. */
async function compare(variant: Variant): Promise<{ readonly speed: number; readonly work: number }> {
  const shops = await Promise.all([open('bare'), open(variant)]);
  const look = () => Promise.all(shops.map((shop) => shop.done()));
  const asleep = await look();
  await delay(IDLE_MS);
  const idle = (await look()).map(({ cpu: used }, index) => (used - (asleep[index]?.cpu ?? 0)) / (IDLE_MS / 1_000));
  for (const shop of shops) shop.begin();
  await delay(WARM_UP_MS);
  const before = await look();
  await delay(Number(seconds) * 1_000);
  const after = await look();
  await Promise.all(shops.map((shop) => shop.stop()));
  const [bare, watched] = after.map(({ orders: ended, cpu: used }, index) => {
    const [first, idleMs] = [before[index] ?? { orders: 0, cpu: 0 }, (idle[index] ?? 0) * 1_000];
    const orders = ended - first.orders;
    return { orders, idleMs, cpuMs: ((used - first.cpu) * 1_000 - idleMs * Number(seconds)) / orders };
  });
  if (bare === undefined || watched === undefined) throw new Error('two shops have two results');
  const told = ({ orders, cpuMs, idleMs }: typeof bare) =>
    `${(orders / Number(seconds)).toFixed(2)} orders/s, ${cpuMs.toFixed(0)} ms of CPU an order` +
    ` and ${idleMs.toFixed(0)} ms a second`;
  console.log(`bare: ${told(bare)}; ${variant}: ${told(watched)} (load ${loadavg()[0]?.toFixed(1)})`);
  return { speed: watched.orders / bare.orders, work: watched.cpuMs / bare.cpuMs };
}

const order = {
  customerId: 'ada',
  currency: 'GBP',
  items: [{ sku: 'LANTERN', quantity: 1 }],
  payment: { token: 'tok_visa' },
  shippingAddress: {
    name: 'Ada Lovelace',
    line1: '12 St James Square',
    city: 'London',
    postalCode: 'SW1Y 4JH',
    country: 'GB',
  },
};

async function scrape(programs: readonly Program[]): Promise<void> {
  for (const { log } of programs) {
    const served = log.find(({ msg }) => msg === 'metrics are served');
    if (typeof served?.['url'] === 'string') await fetch(served['url']).then((answer) => answer.text());
  }
}

/** Seconds of CPU used so far by these processes; Linux only. */
async function cpu(pids: readonly number[]): Promise<number> {
  let ticks = 0;
  for (const pid of pids) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
    if (stat === undefined) continue;
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // proc(5): utime and stime, and those of waited-for children, in ticks of 10 ms.
    ticks += [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0);
  }
  return ticks / 100;
}

const median = (values: readonly number[]): number =>
  values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;

async function ownNamespace(): Promise<string> {
  const namespace = `bench-${randomUUID()}`;
  const connection = await Connection.connect({ address: temporalAddress ?? '' });
  await connection.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: 24 * 3600 } as never,
  });
  const client = new Temporal({ connection, namespace });
  await waitFor('the namespace is known', () =>
    ensureSearchAttributes(client, namespace).then(
      () => true,
      () => false,
    ),
  );
  await connection.close();
  return namespace;
}

for (const variant of ['metrics', 'traced'] as const) {
  const results: Awaited<ReturnType<typeof compare>>[] = [];
  for (let round = 0; round < Number(rounds); round += 1) results.push(await compare(variant));
  const percent = (ratio: number): string => `${((ratio - 1) * 100).toFixed(1)} %`;
  const told = (shares: readonly number[]): string => `${percent(median(shares))} (${shares.map(percent).join(', ')})`;
  console.log(
    `${variant} against bare: orders ${told(results.map(({ speed }) => speed))}; ` +
      `CPU of API and worker an order ${told(results.map(({ work }) => work))}`,
  );
}
collector.closeAllConnections();
collector.close();
await parts.stop();
await rm(folder, { recursive: true, force: true });
