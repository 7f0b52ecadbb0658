import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** A process that cannot be mistaken for a later one that got the same pid. */
export interface ProcessRef {
  readonly pid: number;
  /** When it started, in the system's own words: only good for comparing. */
  readonly startedAt: string;
}

/** One step of stopping a process: send `signal`, wait `graceMs` for the end. */
export interface StopStep {
  readonly signal: NodeJS.Signals;
  readonly graceMs: number;
}

/** The running process with this pid; undefined if there is none, or only one that waits to be reaped. */
export function processAt(pid: number): ProcessRef | undefined {
  const startedAt = process.platform === 'linux' ? startOnLinux(pid) : startByPs(pid);
  return startedAt === undefined ? undefined : { pid, startedAt };
}

export function isAlive(ref: ProcessRef): boolean {
  return processAt(ref.pid)?.startedAt === ref.startedAt;
}

/** This very process. */
export function thisProcess(): ProcessRef {
  return processAt(process.pid) ?? { pid: process.pid, startedAt: 'unknown' };
}

/**
 * Stops a process by `steps`, one after the other, and by SIGKILL to its group if none helped. Resolves once it is
 * gone; does nothing if it is gone already. Throws if it may not be signalled.
 */
export async function stopProcess(ref: ProcessRef, steps: readonly StopStep[]): Promise<void> {
  for (const { signal, graceMs } of steps) {
    if (!isAlive(ref)) return;
    send(ref.pid, signal);
    // oxlint-disable-next-line no-await-in-loop -- each step is taken only if the one before did not help
    if (await isGone(ref, graceMs)) return;
  }
  // The group too: a part may have started processes of its own.
  send(-ref.pid, 'SIGKILL');
  send(ref.pid, 'SIGKILL');
  if (!(await isGone(ref, 10_000))) throw new Error(`process ${ref.pid} is still there after SIGKILL`);
}

/** Resolves with whether the process ended within `timeoutMs`. */
export async function isGone(ref: ProcessRef, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (isAlive(ref)) {
    if (performance.now() > deadline) return false;
    // oxlint-disable-next-line no-await-in-loop -- a process that is not our child can only be polled
    await delay(20);
  }
  return true;
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return;
    throw error;
  }
}

function startOnLinux(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // proc(5): the name in parentheses may hold anything; state is field 3, start time field 22, in ticks since boot.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state, startTime] = [fields[0], fields[19]];
    if (startTime === undefined || state === 'Z' || state === 'X') return undefined;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${startTime}`;
  } catch {
    return undefined;
  }
}

function startByPs(pid: number): string | undefined {
  try {
    const line = execFileSync('ps', ['-o', 'stat=', '-o', 'lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    const [state = '', ...start] = line.split(/\s+/);
    return state === '' || state.startsWith('Z') ? undefined : start.join(' ');
  } catch {
    return undefined;
  }
}
