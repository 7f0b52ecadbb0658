import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type FileHandle, appendFile, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { httpPaymentGateway } from '../../src/adapters/http/payment-gateway.ts';
import { Journal } from '../../src/sandbox/journal.ts';
import { attempt, newKey } from '../support/provider-conformance.ts';
import { sandboxClient, startSandbox } from '../support/sandbox.ts';

let dataDir: string;
let child: ChildProcess | undefined;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'evenkeel sandbox '));
});
afterEach(async () => {
  await kill('SIGKILL');
  await rm(dataDir, { recursive: true });
});

/** The command as people run it; resolves with its URL once it says that it is ready. */
async function spawnSandbox(): Promise<string> {
  const args = ['src/main.ts', 'sandbox', '--data', dataDir, '--dispatch-after', '-1'];
  const spawned = spawn('node_modules/.bin/node', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  child = spawned;
  for await (const line of createInterface({ input: spawned.stdout })) {
    const url = /^sandbox listening on (http:\S+)$/.exec(line)?.[1];
    if (url !== undefined) return url;
  }
  throw new Error('the sandbox ended before it was ready');
}

async function kill(signal: NodeJS.Signals): Promise<number | null> {
  const victim = child;
  child = undefined;
  if (!victim) return null;
  const exited = once(victim, 'exit');
  victim.kill(signal);
  await exited;
  return victim.exitCode;
}

const newRequest = () => ({ orderId: randomUUID(), amountMinor: 1_000, currency: 'GBP', token: 'tok_visa' });

describe('the sandbox as a process', () => {
  test('forgets nothing that it answered when it is killed in the middle of its work', async () => {
    const gateway = httpPaymentGateway(await spawnSandbox());
    // What ends these calls is the kill, however long the process takes to come to it.
    const patient = { signal: new AbortController().signal };
    const answered = new Map<string, string>();
    const requests = new Map(Array.from({ length: 400 }, () => [newKey('authorize'), newRequest()]));
    const calls = [...requests].map(async ([key, request]) => {
      const outcome = await gateway.authorize(key, request, patient);
      answered.set(key, JSON.stringify(outcome));
      if (answered.size === 100) await kill('SIGKILL');
    });
    await Promise.allSettled(calls);
    expect(answered.size).toBeGreaterThanOrEqual(100);

    const url = await spawnSandbox();
    const again = httpPaymentGateway(url);
    for (const [key, request] of requests) {
      const outcome = JSON.stringify(await again.authorize(key, request, attempt()));
      expect(outcome).toBe(answered.get(key) ?? outcome);
    }
    const effects = await sandboxClient(url).ledger();
    expect(effects.map(({ key }) => key).toSorted()).toEqual([...requests.keys()].toSorted());
  }, 60_000);

  test('ends with 0 when it is asked to, even while a caller hangs', async () => {
    const url = await spawnSandbox();
    await sandboxClient(url).addFault({ dependency: 'payments', kind: 'timeout' });
    const hanging = httpPaymentGateway(url).authorize(newKey('authorize'), newRequest(), attempt());
    const cut = hanging.catch((failure: unknown) => failure);
    await expect.poll(async () => sandboxClient(url).faults(), { timeout: 10_000 }).toMatchObject([{ hits: 1 }]);
    expect(await kill('SIGTERM')).toBe(0);
    expect(await cut).toMatchObject({ code: 'provider_unavailable' });
  });
});

describe('the ledger file', () => {
  const path = () => join(dataDir, 'ledger.ndjson');

  async function authorizeOnce(): Promise<string> {
    const sandbox = await startSandbox({ dataDir });
    const key = newKey('authorize');
    await httpPaymentGateway(sandbox.url).authorize(key, newRequest(), attempt());
    await sandbox.stop();
    return key;
  }

  test('drops a last line that was cut off, and goes on behind the one before', async () => {
    const key = await authorizeOnce();
    await appendFile(path(), '{"type":"operation","dependency":"paym');
    const second = await authorizeOnce();
    const lines = (await readFile(path(), 'utf8')).trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { key: string }).key)).toEqual([key, second]);
  });

  test('is refused with its place when a line within is damaged', async () => {
    await authorizeOnce();
    await writeFile(path(), `{"type":"gibberish"}\n${await readFile(path(), 'utf8')}`);
    await expect(startSandbox({ dataDir })).rejects.toThrow(`${path()}:1 is damaged`);
  });

  test('is refused with its path when its folder cannot be made', async () => {
    await writeFile(join(dataDir, 'file'), '');
    await expect(startSandbox({ dataDir: join(dataDir, 'file') })).rejects.toThrow(/cannot open .*ledger\.ndjson/);
  });

  test('syncs once for all that came while it synced: the disk does not bound the rate', async () => {
    const { journal } = await Journal.open(path(), String);
    onTestFinished(() => journal.close());
    const busy = Promise.withResolvers<void>();
    const began = Promise.withResolvers<void>();
    const syncs = await spyOnSyncs(() => {
      began.resolve();
      return busy.promise;
    });
    journal.append('first');
    const first = journal.flushed();
    await began.promise;
    for (let fact = 0; fact < 500; fact += 1) journal.append(`fact ${fact}`);
    const all = journal.flushed();
    busy.resolve();
    await Promise.all([first, all]);
    expect(syncs).toHaveBeenCalledTimes(2);
    expect((await readFile(path(), 'utf8')).trimEnd().split('\n')).toHaveLength(501);
  });

  /** Has `sync` done in place of each sync of any file from now on. */
  async function spyOnSyncs(sync: () => Promise<void>) {
    const anyFile = await open(path());
    await anyFile.close();
    const spy = vi.spyOn(Object.getPrototypeOf(anyFile) as FileHandle, 'datasync').mockImplementation(sync);
    onTestFinished(() => spy.mockRestore());
    return spy;
  }
});
