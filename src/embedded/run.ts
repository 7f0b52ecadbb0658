import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** A user of this machine, by number. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  readonly account?: Account | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called for each line of either output, as it comes. */
  readonly onLine?: (line: string) => void;
}

export interface RunResult {
  /** The exit code; null if a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  /** Both outputs, in the order in which the lines came; the last 400 lines at most. */
  readonly output: string;
}

/**
 * Runs a program to its end and returns its outputs, whatever its exit code. Rejects if it cannot be started, and with
 * the signal's reason once `signal` fires (the program is then killed).
 */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    options.signal?.throwIfAborted();
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...(options.env ?? process.env) },
      cwd: options.cwd,
      ...options.account,
      // A group of its own, so that what it started goes with it, and a terminal's Ctrl-C comes through `signal` only.
      detached: true,
    });
    const stdout: string[] = [];
    const output: string[] = [];
    const take = (line: string): void => {
      output.push(line);
      if (output.length > 400) output.shift();
      options.onLine?.(line);
    };
    createInterface({ input: child.stdout }).on('line', (line) => {
      stdout.push(line);
      take(line);
    });
    createInterface({ input: child.stderr }).on('line', take);
    const abort = (): void => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
    };
    options.signal?.addEventListener('abort', abort, { once: true });
    child.on('error', reject);
    child.on('close', (code) => {
      options.signal?.removeEventListener('abort', abort);
      if (options.signal?.aborted) reject(options.signal.reason as Error);
      else resolve({ code, stdout: stdout.join('\n'), output: output.join('\n') });
    });
  });
}
