import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Connection, WorkflowClient } from '@temporalio/client';
import { TypedSearchAttributes, defineSearchAttributeKey } from '@temporalio/common';
import { Client } from 'pg';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { lockFile } from '../../src/embedded/lock.ts';
import { processAt } from '../../src/embedded/processes.ts';
import { type Parts, startParts } from '../../src/embedded/start-parts.ts';
import { listener } from '../support/listener.ts';
import { descendantsOf } from '../support/processes.ts';
import { waitFor } from '../support/wait.ts';

const ORDER_STATUS = defineSearchAttributeKey('OrderStatus', 'KEYWORD');
const holderMain = join(import.meta.dirname, '../support/parts-holder.ts');

let folder: string;
let dataDir: string;
const cleanUps: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evenkeel parts '));
  await chmod(folder, 0o711);
  dataDir = join(folder, 'a path with a space');
});

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
  await rm(folder, { recursive: true, force: true, maxRetries: 50, retryDelay: 100 });
});

async function start(settings: { sandbox?: boolean } = {}): Promise<Parts> {
  const parts = await startParts({
    dataDir,
    env: process.env,
    report: () => undefined,
    postgres: { database: 'shop' },
    ...(settings.sandbox ? { sandbox: { command: listener } } : {}),
  });
  cleanUps.push(() => parts.stop());
  return parts;
}

interface Holder {
  readonly child: ChildProcess;
  readonly pids: readonly number[];
  readonly databaseUrl: string;
  readonly progress: readonly string[];
}

/** Starts PostgreSQL, Temporal and a listener from a process of their own. */
async function startHolder(): Promise<Holder> {
  const child = spawn(process.execPath, [holderMain, dataDir, inject('temporalCliPath')], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  cleanUps.push(async () => child.kill('SIGKILL'));
  const progress: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => progress.push(line));
  const ready = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', resolve);
    child.on('close', () => reject(new Error(`the holder ended: ${progress.join('\n')}`)));
  });
  const { databaseUrl } = JSON.parse(ready) as { databaseUrl: string };
  return { child, pids: descendantsOf(child.pid ?? 0), databaseUrl, progress };
}

/** Those that are still there when the supervisor has had its time. */
async function survivorsOf(pids: readonly number[]): Promise<readonly number[]> {
  // A supervisor with PostgreSQL and its workers, Temporal and the listener: fewer means that we looked at nothing.
  if (pids.length < 7) throw new Error(`only ${pids.length} processes were started`);
  await waitFor('all processes are gone', () => pids.every((pid) => processAt(pid) === undefined)).catch(
    () => undefined,
  );
  return pids.filter((pid) => processAt(pid) !== undefined);
}

async function query(url: string | undefined, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

function codeOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.on('exit', resolve));
}

test('data and addresses survive a restart', async () => {
  const first = await start();
  await query(first.databaseUrl, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await first.stop();
  const second = await start();
  expect(second.databaseUrl).toBe(first.databaseUrl);
  expect(await query(second.databaseUrl, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
});

test('workflows go on after a restart of Temporal', async () => {
  const temporal = { port: 0, uiPort: 0, namespace: 'shop' };
  const env = { ...process.env, TEMPORAL_CLI_PATH: inject('temporalCliPath') };
  const begin = async (): Promise<{ parts: Parts; client: WorkflowClient; connection: Connection }> => {
    const parts = await startParts({ dataDir, env, report: () => undefined, temporal });
    cleanUps.push(() => parts.stop());
    const connection = await Connection.connect({ address: parts.temporalAddress ?? '' });
    cleanUps.push(() => connection.close());
    return { parts, connection, client: new WorkflowClient({ connection, namespace: 'shop' }) };
  };
  const first = await begin();
  await first.client.start('anything', {
    taskQueue: 'nobody listens',
    workflowId: 'kept',
    typedSearchAttributes: new TypedSearchAttributes([{ key: ORDER_STATUS, value: 'confirmed' }]),
  });
  await first.connection.close();
  await first.parts.stop();

  const second = await begin();
  const { status, typedSearchAttributes } = await second.client.getHandle('kept').describe();
  expect(status.name).toBe('RUNNING');
  expect(typedSearchAttributes.get(ORDER_STATUS)).toBe('confirmed');
});

test('only what was asked for is started', async () => {
  const parts = await start();
  expect(parts.temporalAddress).toBeUndefined();
  expect(parts.sandboxUrl).toBeUndefined();
});

test('a kill -9 of the program leaves no process behind', async () => {
  const { child, pids } = await startHolder();
  child.kill('SIGKILL');
  expect(await survivorsOf(pids)).toEqual([]);
});

test('Ctrl-C stops everything and gives the folder back', async () => {
  const { child, pids } = await startHolder();
  const code = codeOf(child);
  child.kill('SIGINT');
  expect(await code).toBe(0);
  expect(await survivorsOf(pids)).toEqual([]);
  await expect(readFile(lockFile(dataDir))).rejects.toThrow('ENOENT');
});

test('what is left when program and supervisor are killed together is stopped by the next start', async () => {
  const { child, pids, databaseUrl } = await startHolder();
  await query(databaseUrl, 'CREATE TABLE kept AS SELECT 42 AS answer');
  const [supervisor = 0] = pids;
  process.kill(supervisor, 'SIGKILL');
  child.kill('SIGKILL');
  await waitFor('the supervisor is gone', () => processAt(supervisor) === undefined);
  expect(pids.filter((pid) => processAt(pid) !== undefined).length).toBeGreaterThan(3);

  const next = await startHolder();
  expect(next.progress.join()).toContain('stopping what a killed run left behind: PostgreSQL, Temporal, the sandbox');
  expect(await survivorsOf(pids)).toEqual([]);
  expect(await query(next.databaseUrl, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
});

test('a killed supervisor is a failure, and stopping clears what it left', async () => {
  const before = new Set(descendantsOf(process.pid));
  const parts = await start({ sandbox: true });
  const pids = descendantsOf(process.pid).filter((pid) => !before.has(pid));
  process.kill(pids[0] ?? 0, 'SIGKILL');
  await expect(parts.failed).rejects.toThrow('the supervisor of the parts ended (SIGKILL)');
  await parts.stop();
  await waitFor('all processes are gone', () => pids.every((pid) => processAt(pid) === undefined));
});

test('a part that ends by itself is reported with the end of its log', async () => {
  const parts = await start({ sandbox: true });
  await fetch(`${parts.sandboxUrl}/crash`);
  await expect(parts.failed).rejects.toThrow(/^the sandbox ended by itself \(exit code 3\)[^]*last words$/);
});

test('a part that cannot be started is an error, and the others are stopped again', async () => {
  const before = new Set(descendantsOf(process.pid));
  const starting = startParts({
    dataDir,
    env: process.env,
    report: () => undefined,
    postgres: { database: 'shop' },
    sandbox: { command: () => ({ command: '/no/such/program', args: [], env: {} }) },
  });
  await expect(starting).rejects.toThrow('/no/such/program cannot be started');
  await waitFor('nothing of it is left', () => descendantsOf(process.pid).every((pid) => before.has(pid)));
});

test('a second start on the same folder is refused and names the first', async () => {
  await start();
  await expect(start()).rejects.toThrow(`already runs on ${dataDir} (pid ${process.pid})`);
});

test('PostgreSQL starts though its old pid is another process by now', async () => {
  const first = await start();
  await first.stop();
  const data = join(dataDir, 'postgres/data');
  // As a power cut leaves it; only a process of its own user makes PostgreSQL take the file for valid.
  const { uid, gid } = await stat(data);
  const stranger = spawn('sleep', ['600'], { stdio: 'ignore', uid, gid });
  cleanUps.push(async () => stranger.kill());
  await writeFile(join(data, 'postmaster.pid'), `${stranger.pid}\n${data}\n1\n5432\n\n127.0.0.1\n`);
  const second = await start();
  expect(await query(second.databaseUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

test('PostgreSQL listens on loopback only, with a password, and writes through to the disk', async () => {
  const { databaseUrl } = await start();
  expect(await query(databaseUrl, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
  expect(await query(databaseUrl, 'SHOW fsync')).toEqual([{ fsync: 'on' }]);
  expect(await query(databaseUrl, 'SHOW synchronous_commit')).toEqual([{ synchronous_commit: 'on' }]);
  const wrong = new URL(databaseUrl ?? '');
  wrong.password = 'wrong';
  await expect(query(wrong.href, 'SELECT 1')).rejects.toThrow('password authentication failed');
});

test('data that is gone is an error, and never quietly replaced by an empty store', async () => {
  const gone = join(folder, 'gone');
  await mkdir(dataDir);
  await symlink(gone, join(dataDir, 'postgres'));
  await expect(start()).rejects.toThrow(`${join(dataDir, 'postgres')} leads to ${gone}, which is gone`);
});

test('a missing password is an error that says what to do', async () => {
  const first = await start();
  await first.stop();
  await rm(join(dataDir, 'postgres/password'));
  await expect(start()).rejects.toThrow(/password.* is missing. Put it back, or delete .* to begin anew/);
});

test.skipIf(process.getuid?.() !== 0)(
  'as root, data that PostgreSQL cannot reach goes elsewhere and stays',
  async () => {
    const shut = join(folder, 'shut');
    await mkdir(shut, { mode: 0o700 });
    dataDir = join(shut, 'data');
    const first = await start();
    await query(first.databaseUrl, 'CREATE TABLE kept AS SELECT 42 AS answer');
    const [{ data_directory: place } = { data_directory: '' }] = (await query(
      first.databaseUrl,
      'SHOW data_directory',
    )) as { data_directory: string }[];
    cleanUps.unshift(() => rm(join(place, '..'), { recursive: true }));
    expect(place).not.toContain(shut);
    await first.stop();
    const second = await start();
    expect(await query(second.databaseUrl, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
  },
);
