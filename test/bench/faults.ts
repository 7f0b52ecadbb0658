/**
 * `node test/bench/faults.ts [orders]`: tries every fault of a provider on a whole shop, `orders` at a time (40), and
 * prints as a table what became of them; docs/faults.md says how to read it. Starts everything it needs, in a folder of
 * its own; some ten minutes.
 */
import { randomUUID } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { migrate } from '../../src/adapters/postgres/migrate.ts';
import { startParts } from '../../src/embedded/start-parts.ts';
import { audit } from '../support/audit.ts';
import { decide, decidedMs, forceBreaker, parked, quantile } from '../support/fault-play.ts';
import { Gate } from '../support/gate.ts';
import { type SandboxClient, sandboxClient } from '../support/sandbox.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { pooled } from '../support/wait.ts';

const ORDERS = Number(process.argv[2] ?? 40);
/** Orders of what is out of stock: they are decided without any provider. */
const UNAFFECTED = 20;
const LASTS_MS = 20_000;
const ALL_DONE_MS = 300_000;

interface Trial {
  readonly stack: Stack;
  readonly sandbox: SandboxClient;
  /** Of the first payment gateway. */
  readonly gate: Gate;
}

interface Scenario {
  readonly fault: string;
  /** What an order does without meanwhile: then its confirmation shows that nothing held it up. */
  readonly spares?: 'confirmation';
  readonly second?: true;
  readonly risk?: true;
  /** Before the orders. */
  begin(trial: Trial): Promise<unknown>;
  /** While they are under way, as soon as all are submitted. */
  during?(trial: Trial): Promise<unknown>;
  end(trial: Trial, ids: readonly string[]): Promise<unknown>;
}

const clear = ({ sandbox }: Trial): Promise<void> => sandbox.clearFaults();
const lasts = (): Promise<void> => delay(LASTS_MS);
const payments = { dependency: 'payments' } as const;

const scenarios: readonly Scenario[] = [
  { fault: 'none', begin: async () => undefined, end: async () => undefined },
  {
    fault: 'payment gateway slow: each call 2 s, all the time',
    begin: ({ sandbox }) => sandbox.addFault({ ...payments, kind: 'latency', latencyMs: 2_000 }),
    end: async () => undefined,
  },
  {
    fault: 'payment gateway errs (503) for 20 s',
    begin: ({ sandbox }) => sandbox.addFault({ ...payments, kind: 'error' }),
    during: lasts,
    end: clear,
  },
  {
    fault: 'payment gateway hangs for 20 s',
    begin: ({ sandbox }) => sandbox.addFault({ ...payments, kind: 'timeout' }),
    during: lasts,
    end: clear,
  },
  {
    fault: 'payment gateway loses every third answer, all the time',
    begin: ({ sandbox }) => sandbox.addFault({ ...payments, kind: 'timeout_after_effect', rate: 0.33 }),
    end: async () => undefined,
  },
  {
    fault: 'payment gateway lies about each authorization; a person tries each again',
    begin: ({ sandbox }) => sandbox.addFault({ ...payments, operation: 'authorize', kind: 'lie' }),
    async end({ stack, sandbox }, ids) {
      const waiting = await parked(stack, ids);
      await sandbox.clearFaults();
      await pooled(waiting, 4, (order) => decide(stack, order, 'retry'));
    },
  },
  {
    fault: 'carrier errs (503) for 20 s',
    spares: 'confirmation',
    begin: ({ sandbox }) => sandbox.addFault({ dependency: 'carrier', kind: 'error' }),
    during: lasts,
    end: clear,
  },
  {
    fault: 'carrier hangs for 20 s',
    spares: 'confirmation',
    begin: ({ sandbox }) => sandbox.addFault({ dependency: 'carrier', kind: 'timeout' }),
    during: lasts,
    end: clear,
  },
  {
    fault: 'carrier forced open by an operator for 20 s',
    spares: 'confirmation',
    begin: async ({ stack }) => {
      await forceBreaker(stack, 'carrier', { state: 'open', reason: 'to try it' });
      // Every process does so within three seconds.
      await delay(3_000);
    },
    during: lasts,
    end: ({ stack }) => forceBreaker(stack, 'carrier', { state: 'auto', reason: 'tried' }),
  },
  {
    fault: 'risk service errs; a person approves each order',
    risk: true,
    begin: ({ sandbox }) => sandbox.addFault({ dependency: 'risk', kind: 'error' }),
    async end({ stack }, ids) {
      await pooled(await parked(stack, ids), 4, (order) => decide(stack, order, 'approve'));
    },
  },
  {
    fault: 'first of two gateways cannot be reached, from the start',
    second: true,
    begin: ({ gate }) => gate.shut(),
    end: async () => undefined,
  },
  {
    fault: 'first of two gateways loses every third answer, then goes away for 20 s among the orders',
    second: true,
    async begin({ gate, sandbox }) {
      await sandbox.addFault({ ...payments, kind: 'timeout_after_effect', rate: 0.33 });
      await sandbox.addFault({ ...payments, kind: 'latency', latencyMs: 200 });
      // Once some are on their way.
      void delay(2_000).then(() => gate.shut());
    },
    during: lasts,
    async end(trial) {
      await clear(trial);
      await trial.gate.open();
    },
  },
];

const folder = await mkdtemp(join(tmpdir(), 'evenkeel-bench-'));
// As root, PostgreSQL runs as somebody else, who must pass through.
await chmod(folder, 0o711);
const parts = await startParts({
  dataDir: join(folder, 'data'),
  env: process.env,
  report: (line) => console.error(line),
  postgres: { database: 'postgres' },
  temporal: { port: 0, uiPort: 0, namespace: 'default', storage: 'memory' },
});

async function database(): Promise<string> {
  const name = `bench_${randomUUID().replaceAll('-', '')}`;
  const admin = new Client({ connectionString: parts.databaseUrl });
  await admin.connect();
  await admin.query(`create database ${name}`);
  await admin.end();
  const url = new URL(parts.databaseUrl ?? '');
  url.pathname = name;
  await migrate(url.href);
  return url.href;
}

/** What the worker did not ask, by who kept it from that. */
async function refused({ worker }: Stack): Promise<string> {
  const url = worker.log.findLast(({ msg }) => msg === 'metrics are served')?.['url'];
  const text = await (await fetch(String(url))).text();
  const by = (who: string): number =>
    text
      .split('\n')
      .filter((line) => line.startsWith('evenkeel_provider_calls_refused_total{') && line.includes(`by="${who}"`))
      .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  return `${by('breaker')} / ${by('bulkhead')}`;
}

const seconds = (ms: number | undefined): string => (ms === undefined ? '–' : `${(ms / 1_000).toFixed(2)} s`);
const times = (sorted: readonly number[]): string =>
  sorted.length === 0 ? '–' : `${seconds(quantile(sorted, 0.5))} / ${seconds(quantile(sorted, 0.99))}`;

async function tried(scenario: Scenario): Promise<string> {
  const gate = await Gate.create();
  const others = await Gate.create();
  const databaseUrl = await database();
  const stack = await startStack({
    databaseUrl,
    temporalAddress: parts.temporalAddress,
    env: {
      PAYMENT_GATEWAY_URL: gate.url,
      ...(scenario.second ? { PAYMENT_GATEWAY_FALLBACK_URLS: `${others.url}/second` } : {}),
      ...(scenario.risk ? { RISK_URL: others.url } : {}),
    },
  });
  try {
    for (const each of [gate, others]) {
      each.target = stack.sandbox.url;
      await each.open();
    }
    await stack.article('GONE', { onHand: 0 });
    // What a process does for the first time takes longer.
    await stack.ended(await stack.submit(10));
    return await row(scenario, { stack, sandbox: stack.sandbox, gate });
  } finally {
    await stack.close();
    await Promise.all([gate.shut(), others.shut()]);
  }
}

async function row(scenario: Scenario, trial: Trial): Promise<string> {
  const { stack } = trial;
  await scenario.begin(trial);
  const [ids, gone] = await Promise.all([
    stack.submit(ORDERS),
    stack.submit(UNAFFECTED, { items: [{ sku: 'GONE', quantity: 1 }] }),
  ]);
  await scenario.during?.(trial);
  // The risk service is asked about these, too.
  await scenario.end(trial, scenario.risk ? [...ids, ...gone] : ids);
  const orders = await stack.ended([...ids, ...gone], ALL_DONE_MS);
  const second = sandboxClient(`${stack.sandbox.url}/second`);
  const findings = await audit(stack, orders, [second]);
  const charges = (await Promise.all([stack.sandbox, second].map((world) => world.ledger({ kind: 'capture' })))).flat();
  const twice = ids.filter((id) => charges.filter(({ orderId }) => orderId === id).length > 1).length;
  const [waited] = await stack.sql<{ count: number }>(
    `select count(distinct order_id)::int as count from attentions where order_id = any($1)`,
    [orders.map(({ id }) => id)],
  );
  const mine = await decidedMs(stack, ids);
  const unaffected = scenario.spares ? mine : scenario.risk ? [] : await decidedMs(stack, gone);
  const completed = orders.filter(({ status }) => status === 'completed').length;
  const moved = (await second.ledger({ kind: 'capture' })).length;
  for (const finding of findings) console.error(finding);
  return [
    scenario.fault,
    ids.length,
    completed,
    waited?.count ?? 0,
    twice,
    findings.length,
    scenario.spares ? '–' : times(mine),
    times(unaffected),
    await refused(stack),
    scenario.second ? `${moved} through the second` : '',
    loadavg()[0]?.toFixed(1),
  ].join(' | ');
}

const head = [
  'fault',
  'orders',
  'completed',
  'waited for a person',
  'charged twice',
  'left half done',
  'affected, p50 / p99',
  'unaffected, p50 / p99',
  'refused by breaker / bulkhead',
  'notes',
  'load',
];
console.log(`| ${head.join(' | ')} |\n| ${head.map(() => '---').join(' | ')} |`);
try {
  for (const scenario of scenarios) console.log(`| ${await tried(scenario)} |`);
} finally {
  await parts.stop();
  await rm(folder, { recursive: true, force: true });
}
