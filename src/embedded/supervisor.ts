import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { extname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type LockRecord, releaseLock, stopLockedParts } from './lock.ts';
import { PartsError } from './parts-error.ts';
import { type StopStep, isGone, processAt } from './processes.ts';
import type { Account } from './run.ts';

/** A program to keep running. */
export interface PartSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly account?: Account | undefined;
  /** Both outputs are appended here. */
  readonly logFile: string;
  readonly stop: readonly StopStep[];
}

/** What the parent tells the supervisor, a line of JSON each. The end of the pipe means `stop` as well. */
export type SupervisorOrder =
  | {
      readonly type: 'start';
      readonly lockFile: string;
      readonly lock: LockRecord;
      readonly parts: readonly PartSpec[];
    }
  | { readonly type: 'stop' };

/** What the supervisor tells its parent, a line of JSON each. */
export type SupervisorReport =
  | { readonly type: 'started' }
  | { readonly type: 'ended'; readonly part: string; readonly how: string; readonly logTail: string };

export interface Supervisor {
  readonly pid: number;
  /** Resolves once all parts are spawned, which does not mean ready. */
  readonly started: Promise<void>;
  /** Rejects with a `PartsError` as soon as a part, or the supervisor, ends without having been told to. */
  readonly failed: Promise<never>;
  /** Stops all parts, the last started first, and resolves once they are gone. May be called any number of times. */
  stop(): Promise<void>;
}

/**
 * Starts the process that starts `parts`, in this order, and stops them when told to or when this process is gone, by
 * whatever means: it holds the other end of a pipe. It is in a session of its own, so that a terminal's Ctrl-C reaches
 * this process alone, and the parts outlive its drain.
 */
export function startSupervisor(
  lockPath: string,
  lock: LockRecord,
  parts: readonly PartSpec[],
  logFile: string,
): Supervisor {
  const main = fileURLToPath(new URL(`supervisor-main${extname(import.meta.url)}`, import.meta.url));
  const log = openSync(logFile, 'a');
  const child = spawn(process.execPath, [main], { stdio: ['pipe', 'pipe', log], detached: true, cwd: '/' });
  closeSync(log);
  const { pid, stdin, stdout } = child;
  if (pid === undefined || !stdin || !stdout) {
    child.on('error', () => undefined);
    throw new PartsError(`the supervisor of the parts cannot be started with ${process.execPath}`);
  }
  const ref = processAt(pid);

  let stopping = false;
  const failure = Promise.withResolvers<never>();
  const started = Promise.withResolvers<void>();
  // Whoever does not look must not be killed by an unhandled rejection.
  failure.promise.catch(() => undefined);
  started.promise.catch(() => undefined);
  const fail = (error: PartsError): void => {
    failure.reject(error);
    started.reject(error);
  };

  createInterface({ input: stdout }).on('line', (line) => {
    const message = JSON.parse(line) as SupervisorReport;
    if (message.type === 'started') started.resolve();
    else if (!stopping) fail(partEnded(message, parts));
  });
  const exited = new Promise<void>((resolve) => {
    child.on('error', () => resolve());
    child.on('close', (code, signal) => {
      if (!stopping) fail(new PartsError(`the supervisor of the parts ended (${signal ?? code}); see ${logFile}`));
      resolve();
    });
  });
  // A supervisor that is gone cannot read; its end is handled above.
  stdin.on('error', () => undefined);
  const tell = (order: SupervisorOrder): void => void stdin.write(`${JSON.stringify(order)}\n`);
  tell({ type: 'start', lockFile: lockPath, lock, parts });

  const stopAll = async (): Promise<void> => {
    stopping = true;
    tell({ type: 'stop' });
    stdin.end();
    await exited;
    if (ref) await isGone(ref, 1_000);
    // Nothing is left of a supervisor that ended as it should; one that was killed leaves its parts.
    await stopLockedParts(lockPath, lock.owner);
    releaseLock(lockPath, lock.owner);
  };
  let stopped: Promise<void> | undefined;
  return {
    pid,
    started: started.promise,
    failed: failure.promise,
    stop: () => (stopped ??= stopAll()),
  };
}

function partEnded(report: Extract<SupervisorReport, { type: 'ended' }>, parts: readonly PartSpec[]): PartsError {
  const log = parts.find((part) => part.name === report.part)?.logFile;
  const tail = report.logTail === '' ? 'It wrote nothing.' : `The end of ${log}:\n${report.logTail}`;
  return new PartsError(`${report.part} ended by itself (${report.how}). ${tail}`);
}
