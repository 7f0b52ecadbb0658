/**
 * A process of its own (see supervisor.ts): starts the parts it is told to, and stops them, in reverse order, on the
 * message `stop`, on a signal, and at the end of its standard input, which is the end of its parent.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { type LockRecord, type LockedPart, releaseLock, writeLock } from './lock.ts';
import { messageOf } from './parts-error.ts';
import { isAlive, processAt, stopProcess, thisProcess } from './processes.ts';
import type { PartSpec, SupervisorOrder, SupervisorReport } from './supervisor.ts';

const LOG_TAIL_BYTES = 4_096;

let lockPath: string | undefined;
let lock: LockRecord | undefined;
let stopping = false;

function tell(report: SupervisorReport): void {
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

function start(order: Extract<SupervisorOrder, { type: 'start' }>): void {
  // Killed since it asked: the folder may be another's by now, and its lock is not ours to write.
  if (!isAlive(order.lock.owner)) return stopNow();
  lockPath = order.lockFile;
  lock = { ...order.lock, supervisor: thisProcess() };
  writeLock(lockPath, lock);
  for (const part of order.parts) startPart(part);
  tell({ type: 'started' });
}

function startPart(part: PartSpec): void {
  const log = openSync(part.logFile, 'a', 0o640);
  const child = spawn(part.command, part.args, {
    cwd: part.cwd,
    env: { ...part.env },
    stdio: ['ignore', log, log],
    // A group of its own: what it starts can be killed with it.
    detached: true,
    ...part.account,
  });
  closeSync(log);
  const ref = child.pid === undefined ? undefined : processAt(child.pid);
  // At once, so that a killed supervisor leaves no part that nobody knows of.
  if (ref) record((parts) => [...parts, { ...ref, name: part.name, stop: part.stop }]);
  watch(child, part);
}

function watch(child: ChildProcess, part: PartSpec): void {
  const ended = (how: string): void => {
    if (stopping) return;
    record((parts) => parts.filter(({ name }) => name !== part.name));
    tell({ type: 'ended', part: part.name, how, logTail: tail(part.logFile) });
  };
  child.on('error', (error) => ended(`${part.command} cannot be started: ${messageOf(error)}`));
  child.on('exit', (code, signal) => ended(signal === null ? `exit code ${code}` : `signal ${signal}`));
}

function record(change: (parts: readonly LockedPart[]) => readonly LockedPart[]): void {
  if (!lock || lockPath === undefined) return;
  lock = { ...lock, parts: change(lock.parts) };
  writeLock(lockPath, lock);
}

async function stopAll(): Promise<void> {
  if (stopping) return;
  stopping = true;
  for (const part of lock?.parts.toReversed() ?? []) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other: PostgreSQL outlives those that write to it
    await stopProcess(part, part.stop).catch((error: unknown) => complain(`${part.name} cannot be stopped`, error));
  }
  if (lock && lockPath !== undefined) releaseLock(lockPath, lock.owner);
  process.exit(0);
}

/** The last lines of a log. */
function tail(file: string): string {
  const descriptor = openSync(file, 'r');
  try {
    const { size } = fstatSync(descriptor);
    const buffer = Buffer.alloc(Math.min(size, LOG_TAIL_BYTES));
    readSync(descriptor, buffer, 0, buffer.length, size - buffer.length);
    return buffer.toString().trimEnd().split('\n').slice(-15).join('\n');
  } finally {
    closeSync(descriptor);
  }
}

function stopNow(): void {
  stopAll().catch((error: unknown) => {
    complain('the parts cannot be stopped', error);
    process.exit(1);
  });
}

function complain(what: string, error: unknown): void {
  process.stderr.write(`${new Date().toISOString()} ${what}: ${messageOf(error)}\n`);
}

// The parent may be gone: there is nobody left to tell, and that must not keep the parts from being stopped.
process.stdout.on('error', () => undefined);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stopNow);
process.on('uncaughtException', (error) => {
  complain('unexpected', error.stack ?? error);
  stopNow();
});
createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line) as SupervisorOrder;
    if (order.type === 'start') start(order);
    else stopNow();
  })
  .on('close', stopNow);
process.stdin.on('error', stopNow);
