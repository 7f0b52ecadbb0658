import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type LockRecord, acquireLock, lockFile, releaseLock } from '../../src/embedded/lock.ts';
import { type ProcessRef, isAlive, processAt, thisProcess } from '../../src/embedded/processes.ts';

let dataDir: string;
const reported: string[] = [];
const report = (line: string): void => void reported.push(line);

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'evenkeel-lock-'));
  reported.length = 0;
});

afterEach(async () => {
  await rm(dataDir, { recursive: true });
});

/** A pid that is in use, of a process that is gone: what a reboot or a small container makes of a stale lock. */
const reused: ProcessRef = { pid: process.ppid, startedAt: 'another time' };

async function leave(record: LockRecord): Promise<void> {
  await writeFile(lockFile(dataDir), JSON.stringify(record));
}

async function sleeper(): Promise<ProcessRef> {
  const child = spawn('sleep', ['600'], { stdio: 'ignore', detached: true });
  await new Promise((resolve) => child.on('spawn', resolve));
  const ref = processAt(child.pid ?? 0);
  if (!ref) throw new Error('sleep did not start');
  return ref;
}

test('a folder is taken once, and can be taken again when it was given back', async () => {
  const { owner } = await acquireLock(dataDir, report);
  await expect(acquireLock(dataDir, report)).rejects.toThrow(`already runs on ${dataDir} (pid ${process.pid})`);
  releaseLock(lockFile(dataDir), owner);
  await acquireLock(dataDir, report);
});

test('a lock whose pid is another process by now is stale', async () => {
  await leave({ owner: reused, supervisor: reused, parts: [] });
  expect((await acquireLock(dataDir, report)).owner).toEqual(thisProcess());
});

test('parts of a killed run are stopped before the folder is taken', async () => {
  const part = await sleeper();
  const stop = [{ signal: 'SIGTERM', graceMs: 5_000 }] as const;
  await leave({ owner: reused, supervisor: null, parts: [{ ...part, name: 'a part', stop }] });
  await acquireLock(dataDir, report);
  expect(isAlive(part)).toBe(false);
  expect(reported).toEqual(['stopping what a killed run left behind: a part']);
});

test('a stranger that got the pid of a part is left alone', async () => {
  const stranger = await sleeper();
  try {
    const part = { pid: stranger.pid, startedAt: 'another time', name: 'a part', stop: [] };
    await leave({ owner: reused, supervisor: null, parts: [part] });
    await acquireLock(dataDir, report);
    expect(isAlive(stranger)).toBe(true);
  } finally {
    process.kill(stranger.pid, 'SIGKILL');
  }
});

test('a lock that names nobody is stale', async () => {
  await writeFile(lockFile(dataDir), 'half a li');
  expect((await acquireLock(dataDir, report)).owner).toEqual(thisProcess());
});

test('of many processes that find a stale lock at the same time, one takes the folder', async () => {
  await leave({ owner: reused, supervisor: null, parts: [] });
  const module = JSON.stringify(join(import.meta.dirname, '../../src/embedded/lock.ts'));
  const program = `
    const { acquireLock } = await import(${module});
    process.stdin.once('data', async () => {
      const taken = await acquireLock(${JSON.stringify(dataDir)}, () => {}).then(() => true, () => false);
      console.log(taken);
    }).on('end', () => process.exit());
    console.log('ready');
  `;
  const racers = Array.from({ length: 6 }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['pipe', 'pipe', 'inherit'] }),
  );
  const nextLines = (): Promise<string[]> =>
    Promise.all(
      racers.map(({ stdout }) => new Promise<string>((resolve) => stdout.setEncoding('utf8').once('data', resolve))),
    );
  try {
    await nextLines();
    const results = nextLines();
    for (const { stdin } of racers) stdin.write('go\n');
    // Nobody leaves before all have tried: a folder that was given back may be taken again.
    expect((await results).filter((line) => line.includes('true'))).toHaveLength(1);
    expect(await readdir(dataDir)).toEqual(['lock']);
  } finally {
    for (const { stdin } of racers) stdin.end();
  }
});

test('giving back leaves a lock that is somebody else’s', async () => {
  await leave({ owner: reused, supervisor: null, parts: [] });
  releaseLock(lockFile(dataDir), thisProcess());
  expect(await readdir(dataDir)).toEqual(['lock']);
});
