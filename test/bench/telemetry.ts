/**
 * `node test/bench/telemetry.ts [orders] [rounds]`: what telemetry costs. Takes orders to their end as fast as it can, by
 * an API and a worker that nobody watches (`bare`), that count and judge and are scraped (`metrics`), and that send
 * traces of all that too (`traced`); in turns, so that what else the machine does is shared fairly. Says orders a second
 * and the CPU time of an order, and compares each round's with its bare one. The servers are the same for all.
 */
import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client as Temporal, Connection } from '@temporalio/client';
import { Client } from 'pg';
import { migrate } from '../../src/adapters/postgres/migrate.ts';
import { ensureSearchAttributes } from '../../src/adapters/temporal/search-attributes.ts';
import { freePort } from '../../src/embedded/ports.ts';
import { startParts } from '../../src/embedded/start-parts.ts';
import { descendantsOf } from '../support/processes.ts';
import { type Env, Program } from '../support/program.ts';
import { callbackSecret, startSandbox } from '../support/sandbox.ts';
import { startTestConsumer } from '../support/test-consumer.ts';
import { pooled, waitFor } from '../support/wait.ts';

const [orders = '300', rounds = '4'] = process.argv.slice(2);
const WARM_UP = 40;
const AT_A_TIME = 16;
const SCRAPE_MS = 5_000;
const ALL_DONE_MS = 600_000;

const variants = ['bare', 'metrics', 'traced'] as const;
type Variant = (typeof variants)[number];

interface Measured {
  readonly perSecond: number;
  /** Of API and worker, milliseconds an order. */
  readonly cpuMs: number;
  /** Of what PostgreSQL and Temporal used beside them. */
  readonly serversCpuMs: number;
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
let received = 0;
const collector = createServer((request, response) => {
  request.on('data', (chunk: Buffer) => (received += chunk.length));
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

async function run(variant: Variant): Promise<Measured> {
  const url = await database();
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
    PAYMENT_GATEWAY_URL: sandbox.url,
    CARRIER_URL: sandbox.url,
    CARRIER_CALLBACK_SECRET: callbackSecret,
    EVENKEEL_HTTP_PORT: String(port),
    EVENKEEL_METRICS_PORT: '0',
    EVENKEEL_WEBHOOK_NETWORKS: '127.0.0.0/8',
    EVENKEEL_REVIEW_ORDERS_PER_HOUR: '1000000',
    ...(variant === 'bare' ? { NODE_OPTIONS: `--import ${import.meta.resolve('./bare/hook.ts')}` } : {}),
    ...(variant === 'traced' ? { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } : {}),
  };
  const programs = [new Program(['api'], env), new Program(['worker'], env)];
  await Promise.all([programs[0]?.start('evenkeel api listens'), programs[1]?.start('evenkeel worker runs')]);
  const scraping = variant === 'bare' ? undefined : setInterval(() => void scrape(programs), SCRAPE_MS);
  const request = async (method: string, path: string, body: unknown): Promise<void> => {
    const response = await fetch(`${api}${path}`, {
      method,
      headers: { 'content-type': 'application/json', 'idempotency-key': randomUUID() },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  };
  await request('PUT', '/v1/catalog/LANTERN', { description: 'LANTERN', priceMinor: 1_000, currency: 'GBP' });
  await request('PUT', '/v1/stock/LANTERN', { onHand: 1_000_000 });
  const consumer = await startTestConsumer();
  await request('POST', '/v1/consumers', { name: 'bench', url: consumer.url, types: ['evenkeel.order.*'] });

  const allDone = async (): Promise<boolean> => {
    const { rows } = await sql.query(
      `select 1 from orders where finished_at is null union all select 1 from deliveries where status = 'pending' limit 1`,
    );
    return rows.length === 0;
  };
  const take = async (count: number): Promise<void> => {
    await pooled(Array.from({ length: count }), AT_A_TIME, () => request('POST', '/v1/orders', order));
    await waitFor('all orders and deliveries are done', allDone, ALL_DONE_MS);
  };
  await take(WARM_UP);
  const pids = programs.map(({ pid }) => pid);
  const before = await cpu(pids);
  const serversBefore = await cpu(servers(pids));
  const begun = performance.now();
  await take(Number(orders));
  const seconds = (performance.now() - begun) / 1000;
  const each = (used: number): number => (used * 1000) / Number(orders);
  const measured = {
    perSecond: Number(orders) / seconds,
    cpuMs: each((await cpu(pids)) - before),
    serversCpuMs: each((await cpu(servers(pids))) - serversBefore),
  };
  clearInterval(scraping);
  await Promise.all(programs.map((program) => program.end('SIGTERM')));
  await Promise.all([sql.end(), consumer.close(), sandbox.stop()]);
  return measured;
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

/** PostgreSQL and Temporal, with all below them. */
function servers(programs: readonly number[]): number[] {
  return descendantsOf(process.pid).filter((pid) => !programs.includes(pid));
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

const connection = await Connection.connect({ address: temporalAddress });
await ensureSearchAttributes(new Temporal({ connection, namespace: 'default' }), 'default');
await connection.close();

const results: Record<Variant, Measured>[] = [];
for (let round = 0; round < Number(rounds); round += 1) {
  const measured = new Map<Variant, Measured>();
  // Each is first, second and last in turn.
  for (const step of variants.keys()) {
    const variant = variants[(step + round) % variants.length] ?? 'bare';
    const one = await run(variant);
    measured.set(variant, one);
    const { perSecond, cpuMs, serversCpuMs } = one;
    console.log(
      `${round + 1} ${variant.padEnd(8)} ${perSecond.toFixed(1)} orders/s, ${cpuMs.toFixed(0)} ms of CPU an order` +
        ` (servers ${serversCpuMs.toFixed(0)} ms), load ${loadavg()[0]?.toFixed(1)}`,
    );
  }
  results.push(Object.fromEntries(measured) as Record<Variant, Measured>);
}
for (const variant of ['metrics', 'traced'] as const) {
  const speed = results.map((round) => round[variant].perSecond / round.bare.perSecond);
  const work = results.map((round) => round[variant].cpuMs / round.bare.cpuMs);
  const percent = (ratio: number): string => `${((ratio - 1) * 100).toFixed(1)} %`;
  console.log(
    `${variant} against bare: throughput ${percent(median(speed))} (${speed.map(percent).join(', ')}), ` +
      `CPU of API and worker ${percent(median(work))} (${work.map(percent).join(', ')})`,
  );
}
console.log(`${(received / 1024 / Number(rounds) / (Number(orders) + WARM_UP)).toFixed(0)} KiB of traces an order`);
collector.closeAllConnections();
collector.close();
await parts.stop();
await rm(folder, { recursive: true, force: true });
