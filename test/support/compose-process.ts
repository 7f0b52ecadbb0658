import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, closeSync, openSync, readFileSync } from 'node:fs';
import type { Account } from '../../src/embedded/run.ts';

export interface ProcessSpec {
  readonly command: string;
  readonly args: readonly string[];
  /** All of its environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly account?: Account | undefined;
  readonly logFile: string;
}

/** Whatever runs; the last resort where a test process ends without having ended it. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) signal(child, 'SIGKILL');
});

/** A program in a process group of its own, that ends with this process at the latest. */
export class PlainProcess {
  readonly #spec: ProcessSpec;
  readonly #child: ChildProcess;

  constructor(spec: ProcessSpec) {
    this.#spec = spec;
    const out = openSync(spec.logFile, 'a');
    const child = spawn(spec.command, spec.args, {
      cwd: spec.cwd,
      env: spec.env,
      stdio: ['ignore', out, out],
      detached: true,
      ...spec.account,
    });
    closeSync(out);
    this.#child = child;
    running.add(child);
    const release = guard(child);
    child.once('exit', () => {
      running.delete(child);
      release();
    });
    child.once('error', (error) => appendFileSync(spec.logFile, `${spec.command}: ${error.message}\n`));
  }

  get isRunning(): boolean {
    const { exitCode, signalCode, pid } = this.#child;
    return pid !== undefined && exitCode === null && signalCode === null;
  }

  /** Sends the signal to it and all that it started, and resolves once it is gone. */
  async end(how: NodeJS.Signals): Promise<void> {
    if (!this.isRunning) return;
    const exit = once(this.#child, 'exit');
    signal(this.#child, how);
    await exit;
  }

  /** The last lines that it wrote. */
  log(): string {
    return readFileSync(this.#spec.logFile, 'utf8').split('\n').slice(-30).join('\n');
  }
}

/** Sees to the end of `child` if this process is killed: then the pipe that the watch holds ends. */
function guard({ pid }: ChildProcess): () => void {
  const watch = spawn('/bin/sh', ['-c', 'read -r line; kill -9 "-$1"', 'sh', String(pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  watch.unref();
  return () => watch.kill('SIGKILL');
}

function signal({ pid }: ChildProcess, how: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, how);
  } catch {
    // It is gone.
  }
}
