import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import type { OrderView } from '../../src/domain/order-ports.ts';
import { freePort } from '../../src/embedded/ports.ts';
import { isAlive, processAt } from '../../src/embedded/processes.ts';
import { descendantsOf } from '../support/processes.ts';
import { Program } from '../support/program.ts';
import { type SandboxClient, sandboxClient } from '../support/sandbox.ts';
import { newKey, newOrder } from '../support/stack.ts';
import { waitFor } from '../support/wait.ts';

let folder: string;
let env: Record<string, string>;
const programs: Program[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evenkeel start '));
  // As root, PostgreSQL runs as somebody else, who must pass through.
  await chmod(folder, 0o711);
  const [api, temporal, ui] = [await freePort(), await freePort(), await freePort()];
  env = {
    EVENKEEL_DATA_DIR: join(folder, 'all of it'),
    EVENKEEL_HTTP_PORT: String(api),
    EVENKEEL_METRICS_PORT: '0',
    // On a busy machine orders wait longer for their turn than a shop would let them.
    EVENKEEL_SHED_AGE_MS: '60000',
    EVENKEEL_TEMPORAL_PORT: String(temporal),
    EVENKEEL_TEMPORAL_UI_PORT: String(ui),
    TEMPORAL_CLI_PATH: inject('temporalCliPath'),
  };
});

afterEach(async ({ task }) => {
  if (task.result?.state === 'fail')
    for (const { stdout, stderr } of programs) console.log([...stdout, ...stderr].join('\n'));
  await Promise.all(programs.splice(0).map((program) => program.end('SIGTERM')));
  await rm(folder, { recursive: true, force: true });
});

async function start(...words: string[]) {
  const program = new Program(['start', ...words], env);
  programs.push(program);
  await program.start('Ctrl-C stops everything');
  const address = (of: string): string => {
    const line = program.stdout.find((text) => text.trim().startsWith(of));
    return /http:\S+/.exec(line ?? '')?.[0] ?? `no address of ${of}`;
  };
  const processes = [program.pid, ...descendantsOf(program.pid)]
    .map((pid) => processAt(pid))
    .filter((ref) => ref !== undefined);
  // API and worker, the supervisor, PostgreSQL with its own, Temporal, the sandbox.
  expect(processes.length).toBeGreaterThanOrEqual(8);
  return {
    program,
    api: address('API'),
    ui: address('Temporal UI'),
    sandbox: sandboxClient(address('Sandbox')),
    processes,
  };
}

/** As the commands on this machine do. */
async function asAdmin(): Promise<{ authorization: string }> {
  const key = await readFile(join(env['EVENKEEL_DATA_DIR'] ?? '', 'dev-key'), 'utf8');
  return { authorization: `Bearer ${key.trim()}` };
}

const getJson = async (url: string): Promise<unknown> => (await fetch(url, { headers: await asAdmin() })).json();

async function orders(api: string): Promise<OrderView[]> {
  const { data } = (await getJson(`${api}/v1/orders?limit=200`)) as { data: OrderView[] };
  return data.toSorted((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
}

const look = async (api: string, id: string) => (await getJson(`${api}/v1/orders/${id}`)) as OrderView;

/** An order that the carrier has and does not move. */
async function underWay({ api, sandbox }: { api: string; sandbox: SandboxClient }): Promise<string> {
  await sandbox.configure({ dispatchAfterMs: -1 });
  const posted = await fetch(`${api}/v1/orders`, {
    method: 'POST',
    headers: { ...(await asAdmin()), 'content-type': 'application/json', 'idempotency-key': newKey() },
    body: JSON.stringify(newOrder({ items: [{ sku: 'MUG-HEART', quantity: 1 }] })),
  });
  const { id } = (await posted.json()) as OrderView;
  await waitFor('it is booked', async () => (await look(api, id)).fulfillments[0]?.status === 'booked');
  return id;
}

const byCustomer = (list: readonly OrderView[]): Record<string, string> =>
  Object.fromEntries(
    list.map(({ customerId, status, attention }) => [
      customerId,
      attention === null ? status : `waits at ${attention.step}`,
    ]),
  );

test('a newcomer sees every fate, and finds all as it was after Ctrl-C and after a kill; what was under way goes on', async () => {
  const first = await start();
  expect((await fetch(`${first.api}/docs`)).status).toBe(200);
  expect((await fetch(first.ui)).status).toBe(200);
  const fates = {
    'synthetic-completes': 'completed',
    'synthetic-declined': 'rejected',
    'synthetic-out-of-stock': 'rejected',
    'synthetic-high-value': 'waits at screen',
    'synthetic-flaky-gateway': 'completed',
    'synthetic-lost-answer': 'completed',
    'synthetic-undeliverable': 'waits at book',
    'synthetic-capture-refused': 'waits at capture',
  };
  await waitFor(
    'all sample orders reach their fates',
    async () => JSON.stringify(sorted(byCustomer(await orders(first.api)))) === JSON.stringify(sorted(fates)),
    60_000,
    async () => byCustomer(await orders(first.api)),
  );

  expect((await stat(join(env['EVENKEEL_DATA_DIR'] ?? '', 'dev-key'))).mode & 0o777).toBe(0o600);
  expect((await fetch(`${first.api}/v1/orders`)).status).toBe(401);

  // The order that it prints to be copied.
  const printed = first.program.stdout.join('\n').split(/A first order:|Ctrl-C stops/)[1] ?? '';
  const copied = JSON.parse(execFileSync('bash', ['-c', printed], { encoding: 'utf8' })) as OrderView;
  expect(copied).toMatchObject({ status: 'received', customerId: 'ada' });

  const id = await underWay(first);
  const others = async (api: string) =>
    (await orders(api)).filter((order) => order.id !== id && order.id !== copied.id);
  const before = await others(first.api);

  expect(await first.program.end('SIGINT')).toBe(0);
  await waitFor('no process of ours is left', () => first.processes.every((ref) => !isAlive(ref)), 15_000);
  expect(await readdir(env['EVENKEEL_DATA_DIR'] ?? '')).not.toContain('lock');

  const second = await start('--no-samples');
  expect(second.api).toBe(first.api);
  expect(await others(second.api)).toEqual(before);
  const ends = (api: string, orderId: string) =>
    waitFor(
      'what was under way is completed',
      async () => (await look(api, orderId)).status === 'completed',
      60_000,
      () => look(api, orderId),
    );
  // The pretend carrier has forgotten that it was to wait.
  await ends(second.api, id);

  const next = await underWay(second);
  await second.program.end('SIGKILL');
  await waitFor('the parts have followed', () => second.processes.every((ref) => !isAlive(ref)), 30_000);
  const third = await start();
  await ends(third.api, next);
  expect(third.program.stdout.join('\n')).not.toContain('The store was empty');
});

test('a port that is taken is named, with what to do, and nothing is left running', async () => {
  const taken = await start('--no-samples');
  const before = descendantsOf(process.pid).length;
  const other = new Program(['start'], { ...env, EVENKEEL_DATA_DIR: join(folder, 'another') });
  programs.push(other);
  await other.start();
  expect(await other.exited()).toBe(1);
  expect(other.stderr.join('\n')).toMatch(/port \d+, meant for the API, is taken.*EVENKEEL_HTTP_PORT=/);
  expect(descendantsOf(process.pid)).toHaveLength(before);
  expect((await fetch(`${taken.api}/livez`)).status).toBe(200);
});

function sorted(record: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1));
}
