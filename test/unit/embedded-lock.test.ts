import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type LockRecord, acquireLock, lockFile, releaseLock, successionFile } from '../../src/embedded/lock.ts';
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

async function leave(record: LockRecord, folder = dataDir): Promise<void> {
  await writeFile(lockFile(folder), JSON.stringify(record));
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
  const module = JSON.stringify(join(import.meta.dirname, '../../src/embedded/lock.ts'));
  const program = `
    const { acquireLock } = await import(${module});
    const { createInterface } = await import('node:readline');
    createInterface({ input: process.stdin }).on('line', async (folder) => {
      console.log(await acquireLock(folder, () => {}).then(() => 'taken', ({ message }) => message));
    });
    console.log('ready');
  `;
  const racers = Array.from({ length: 6 }, () => {
    const { stdin, stdout } = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    return { stdin, lines: createInterface({ input: stdout })[Symbol.asyncIterator]() };
  });
  const nextLines = (): Promise<string[]> =>
    Promise.all(racers.map(async ({ lines }) => String((await lines.next()).value)));
  try {
    await nextLines();
    for (let race = 0; race < 100; race += 1) {
      const folder = join(dataDir, String(race));
      await mkdir(folder);
      await leave({ owner: reused, supervisor: null, parts: [] }, folder);
      // Nobody leaves before all have tried: a folder that was given back may be taken again.
      for (const { stdin } of racers) stdin.write(`${folder}\n`);
      const told = await nextLines();
      expect(told.filter((line) => !line.includes(`already runs on ${folder}`))).toEqual(['taken']);
      expect(await readdir(folder)).toEqual(['lock']);
    }
  } finally {
    for (const { stdin } of racers) stdin.end();
  }
}, 120_000);

test('a stale lock that a process was killed over while it took it is taken all the same', async () => {
  const stale = { owner: reused, supervisor: null, parts: [] };
  await leave(stale);
  await writeFile(successionFile(lockFile(dataDir), JSON.stringify(stale)), JSON.stringify(stale));
  const { owner } = await acquireLock(dataDir, report);
  expect(owner).toEqual(thisProcess());
  expect(await readdir(dataDir)).toEqual(['lock']);
});

test('a supervisor whose parent was killed before it came up leaves the folder to whoever has it by now', async () => {
  const { owner } = await acquireLock(dataDir, report);
  const main = join(import.meta.dirname, '../../src/embedded/supervisor-main.ts');
  const supervisor = spawn(process.execPath, [main], { stdio: ['pipe', 'ignore', 'inherit'] });
  const exited = once(supervisor, 'exit');
  const lock: LockRecord = { owner: reused, supervisor: null, parts: [] };
  supervisor.stdin.end(`${JSON.stringify({ type: 'start', lockFile: lockFile(dataDir), lock, parts: [] })}\n`);
  expect(await exited).toEqual([0, null]);
  expect(JSON.parse(await readFile(lockFile(dataDir), 'utf8'))).toMatchObject({ owner, supervisor: null });
});

test('giving back leaves a lock that is somebody else’s', async () => {
  await leave({ owner: reused, supervisor: null, parts: [] });
  releaseLock(lockFile(dataDir), thisProcess());
  expect(await readdir(dataDir)).toEqual(['lock']);
});
