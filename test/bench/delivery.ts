/**
 * `node test/bench/delivery.ts FILE [orders] [rate]`: delivers the events of real orders to consumers that behave
 * badly, and says how the healthy one does alone and beside them, what became of every delivery, and how fast a backlog
 * is worked off. FILE is what `evenkeel submit` takes, `rate` the orders a second that it submits, as many as it can if
 * left out. Starts everything it needs, in a folder of its own; some ten minutes.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { freePort } from '../../src/embedded/ports.ts';
import { descendantsOf } from '../support/processes.ts';
import { Program } from '../support/program.ts';
import { type Behavior, startTestConsumer, type TestConsumer } from '../support/test-consumer.ts';
import { waitFor } from '../support/wait.ts';

const [file = '', orders = '1000', rate] = process.argv.slice(2);
if (file === '') throw new Error('say which file of orders: node test/bench/delivery.ts FILE [orders] [rate]');
const ALL_DONE_MS = 900_000;
const DOWN_MS = 60_000;

class Running {
  readonly url: string;
  readonly key: string;
  readonly sql: Client;
  readonly program: Program;
  readonly folder: string;

  constructor(url: string, sql: Client, program: Program, folder: string) {
    this.key = readFileSync(join(folder, 'data/dev-key'), 'utf8').trim();
    this.url = url;
    this.sql = sql;
    this.program = program;
    this.folder = folder;
  }

  async request(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.key}`, 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: text === '' ? null : JSON.parse(text) };
  }

  async rows<Row extends Record<string, unknown>>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.sql.query<Row>(text, [...values])).rows;
  }

  /** The one number that a query answers. */
  async number(text: string): Promise<number> {
    const { rows } = await this.sql.query({ text, rowMode: 'array' });
    return Number(rows[0]?.[0] ?? 0);
  }

  async stop(): Promise<void> {
    await this.sql.end();
    await this.program.end('SIGTERM');
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function start(): Promise<Running> {
  const folder = await mkdtemp(join(tmpdir(), 'evenkeel-bench-'));
  // As root, PostgreSQL runs as somebody else, who must pass through.
  await chmod(folder, 0o711);
  const port = await freePort();
  const program = new Program(['start', '--no-samples'], {
    EVENKEEL_DATA_DIR: join(folder, 'data'),
    EVENKEEL_HTTP_PORT: String(port),
    EVENKEEL_METRICS_PORT: '0',
    EVENKEEL_SHED_AGE_MS: '600000',
    EVENKEEL_TEMPORAL_PORT: String(await freePort()),
    EVENKEEL_TEMPORAL_UI_PORT: String(await freePort()),
  });
  await program.start('Ctrl-C stops everything');
  const [databaseUrl] = /postgres:\S+/.exec(program.stdout.join('\n')) ?? [];
  if (databaseUrl === undefined) throw new Error(`no PostgreSQL among:\n${program.stdout.join('\n')}`);
  const sql = new Client({ connectionString: databaseUrl });
  await sql.connect();
  return new Running(`http://127.0.0.1:${port}`, sql, program, folder);
}

async function submit(to: Running): Promise<string> {
  const report = join(to.folder, 'refused.csv');
  const launcher = join(import.meta.dirname, '../../bin/evenkeel.js');
  const words = ['submit', file, '--catalog', '--limit', orders, '--wait', '--url', to.url, '--report', report];
  if (rate !== undefined) words.push('--rate', rate);
  const began = performance.now();
  await promisify(execFile)(process.execPath, [launcher, ...words], { maxBuffer: 64 * 1024 * 1024 });
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  return `${await to.number('select count(*) from orders')} orders to their end in ${seconds} s`;
}

/** From an event's commit, as near as its time tells, to its arrival at the consumer; the repeats of one do not count. */
function times(consumer: TestConsumer): string {
  const first = new Map<string, number>();
  for (const { eventId, eventAt, receivedAt } of consumer.receipts) {
    if (!first.has(eventId)) first.set(eventId, receivedAt - eventAt);
  }
  const sorted = [...first.values()].toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return `${sorted.length} events, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`;
}

const load = (): string =>
  loadavg()
    .map((value) => value.toFixed(1))
    .join(' ');

async function drained(of: Running, ids: readonly string[]): Promise<void> {
  await waitFor(
    'nothing is pending at those that work',
    async () =>
      (await of.rows(`select 1 from deliveries where status = 'pending' and consumer_id = any($1) limit 1`, [ids]))
        .length === 0,
    ALL_DONE_MS,
  );
}

async function alone(): Promise<void> {
  const running = await start();
  const healthy = await startTestConsumer();
  const id = await healthy.register(running, { name: 'healthy' });
  console.log(`\nalone (load ${load()}): ${await submit(running)}`);
  await drained(running, [id]);
  console.log(`  healthy: ${times(healthy)} (load ${load()})`);
  await healthy.close();
  await running.stop();
}

async function beside(): Promise<void> {
  const running = await start();
  const behaviors: Readonly<Record<string, Behavior>> = {
    healthy: () => 204,
    slow: () => ({ answer: 204, afterMs: 200 }),
    down: () => 204,
    broken: () => 500,
    gone: () => 410,
  };
  const consumers = new Map<string, TestConsumer>();
  for (const [name, behave] of Object.entries(behaviors)) {
    const consumer = await startTestConsumer(behave);
    await consumer.register(running, { name, ...(name === 'slow' ? { maxInFlight: 64 } : {}) });
    consumers.set(name, consumer);
  }
  const of = (name: string): TestConsumer => {
    const consumer = consumers.get(name);
    if (!consumer) throw new Error(`no consumer ${name}`);
    return consumer;
  };
  const began = Date.now();
  const sampling = new AbortController();
  const samples = sampled(running, began, sampling.signal);
  await of('down').down();
  const back = new Promise((resolve) => setTimeout(resolve, DOWN_MS)).then(() => of('down').up());
  console.log(`\nbeside four others (load ${load()}): ${await submit(running)}`);
  await back;
  await drained(
    running,
    ['healthy', 'slow', 'down'].map((name) => of(name).id),
  );
  sampling.abort();
  console.log(`  healthy: ${times(of('healthy'))} (load ${load()})`);
  for (const name of ['slow', 'down']) console.log(`  ${name}: ${times(of(name))}`);
  console.log(`  events published: ${await running.number('select count(*) from events')}`);
  const outcomes = await running.rows<{
    name: string;
    state: string;
    mode: string;
    outcomes: string;
    attempts: number;
  }>(
    `select c.name, c.state, h.mode, string_agg(d.count || ' ' || d.status, ', ') as outcomes, sum(d.attempts)::int as attempts
     from consumers c join consumer_health h on h.consumer_id = c.id join (
       select consumer_id, status, count(*) as count, sum(attempts) as attempts from deliveries group by 1, 2
     ) d on d.consumer_id = c.id group by 1, 2, 3 order by 1`,
  );
  for (const { name, state, mode, outcomes: what, attempts } of outcomes) {
    console.log(`  ${name.padEnd(8)} ${what}; ${attempts} attempts; ${state}, ${mode}`);
  }
  console.log('  lag in seconds (and backlog) over time:');
  for (const line of await samples) console.log(`    ${line}`);
  const unsigned = [...consumers.values()].flatMap((consumer) => consumer.unsigned);
  console.log(`  messages whose signature did not verify: ${unsigned.length}`);
  const audit = new Program(['audit', 'events'], { DATABASE_URL: databaseOf(running) });
  await audit.start();
  await waitFor('the audit ends', () => audit.stdout.some((line) => /nothing is missing|findings/.test(line)));
  console.log(`  evenkeel audit events:\n    ${audit.stdout.slice(-5).join('\n    ')}`);
  await Promise.all([...consumers.values()].map((consumer) => consumer.close()));
  await running.stop();
}

function databaseOf({ sql }: Running): string {
  return `postgres://${sql.user}:${encodeURIComponent(String(sql.password))}@${sql.host}:${sql.port}/${sql.database}`;
}

/** Every ten seconds, for each consumer, the age of its oldest pending event and how many there are. */
async function sampled(of: Running, began: number, signal: AbortSignal): Promise<string[]> {
  const lines: string[] = [];
  for (let at = 10_000; !signal.aborted; at += 10_000) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, began + at - Date.now())));
    if (signal.aborted) break;
    const rows = await of.rows<{ name: string; lag: number; backlog: number }>(
      `select c.name, coalesce(extract(epoch from clock_timestamp() - min(d.created_at)), 0)::float8 as lag,
         count(d.id)::int as backlog
       from consumers c left join deliveries d on d.consumer_id = c.id and d.status = 'pending' group by 1 order by 1`,
    );
    const text = rows.map(({ name, lag, backlog }) => `${name} ${lag.toFixed(1)} (${backlog})`).join(', ');
    lines.push(`${String(at / 1000).padStart(4)} s: ${text}`);
  }
  return lines;
}

/** Works off a backlog with nothing else going on; says what it cost each kind of process. */
async function saturation(): Promise<void> {
  const running = await start();
  const consumers = await Promise.all(Array.from({ length: 5 }, () => startTestConsumer()));
  for (const consumer of consumers) {
    await consumer.register(running, { maxInFlight: 64 });
    await running.request('POST', `/v1/consumers/${consumer.id}/pause`, { reason: 'to build up a backlog' });
  }
  await submit(running);
  const backlog = await running.number(`select count(*) from deliveries where status = 'pending'`);
  const before = await cpuSeconds(running.program.pid);
  const ownBefore = process.cpuUsage();
  const began = performance.now();
  for (const consumer of consumers) {
    await running.request('POST', `/v1/consumers/${consumer.id}/resume`, { reason: 'to work it off' });
  }
  await drained(
    running,
    consumers.map(({ id }) => id),
  );
  const seconds = (performance.now() - began) / 1000;
  const after = await cpuSeconds(running.program.pid);
  const own = process.cpuUsage(ownBefore);
  console.log(
    `\nat saturation (load ${load()}): ${backlog} deliveries to five consumers in ${seconds.toFixed(1)} s: ` +
      `${(backlog / seconds).toFixed(0)}/s`,
  );
  const parts = [...after].map(([name, total]) => [name, total - (before.get(name) ?? 0)] as const);
  const all = [...parts, ['the consumers of this test', (own.user + own.system) / 1e6] as const];
  const sum = all.reduce((total, [, cpu]) => total + cpu, 0);
  for (const [name, cpu] of all.filter(([, used]) => used > 0.05)) {
    const each = ((cpu / backlog) * 1000).toFixed(2);
    console.log(`  ${name}: ${cpu.toFixed(1)} s of CPU, ${((cpu / sum) * 100).toFixed(0)} %, ${each} ms a delivery`);
  }
  await Promise.all(consumers.map((consumer) => consumer.close()));
  await running.stop();
}

/** CPU time used so far by `pid` and all below it, by the kind of process; Linux only. */
async function cpuSeconds(pid: number): Promise<Map<string, number>> {
  const used = new Map<string, number>();
  for (const one of [pid, ...descendantsOf(pid)]) {
    const stat = await readFile(`/proc/${one}/stat`, 'utf8').catch(() => undefined);
    if (stat === undefined) continue;
    const name = /\((.*)\)/.exec(stat)?.[1] ?? '';
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const kind = one === pid ? 'API, worker and relay' : name.startsWith('postgres') ? 'PostgreSQL' : name;
    // proc(5): utime and stime, and those of waited-for children, in ticks of 10 ms.
    const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0);
    used.set(kind, (used.get(kind) ?? 0) + ticks / 100);
  }
  return used;
}

await alone();
await beside();
await saturation();
