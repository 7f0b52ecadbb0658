import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { waitFor } from './wait.ts';

const LAUNCHER = join(import.meta.dirname, '../../bin/evenkeel.js');

export type Env = Readonly<Record<string, string | undefined>>;

/** Whatever runs; the last resort where a test process ends without having closed its stack. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** `evenkeel <words>` as a process of its own, that can be stopped, killed and started again. */
export class Program {
  readonly words: readonly string[];
  /** All it wrote so far, over all its lives: the log on standard output, words for people on standard error. */
  readonly stdout: string[] = [];
  readonly stderr: string[] = [];
  readonly #env: Env;
  readonly #cwd: string | undefined;
  #child: ChildProcess | undefined;
  #exitCode: number | null = null;

  /** The environment is `env` and what finding executables needs, nothing else of this process's. */
  constructor(words: readonly string[], env: Env, cwd?: string) {
    this.words = words;
    this.#env = { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env };
    this.#cwd = cwd;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`evenkeel ${this.words.join(' ')} does not run`);
    return pid;
  }

  /** The log's lines that are JSON, parsed. */
  get log(): Readonly<Record<string, unknown>>[] {
    return this.stdout.flatMap((line) =>
      line.startsWith('{') ? [JSON.parse(line) as Readonly<Record<string, unknown>>] : [],
    );
  }

  /** Starts it; resolves at once, or, with `ready`, once it has written a line with that in this life. */
  async start(ready?: string): Promise<void> {
    if (this.#child) throw new Error(`evenkeel ${this.words.join(' ')} runs already`);
    const [out, err] = [this.stdout.length, this.stderr.length];
    const child = spawn(process.execPath, [LAUNCHER, ...this.words], {
      env: this.#env,
      cwd: this.#cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    running.add(child);
    child.once('exit', (code) => {
      running.delete(child);
      if (this.#child !== child) return;
      this.#child = undefined;
      this.#exitCode = code;
    });
    createInterface({ input: child.stdout }).on('line', (line) => this.stdout.push(line));
    createInterface({ input: child.stderr }).on('line', (line) => this.stderr.push(line));
    if (ready === undefined) return;
    const written = (): string[] => [...this.stdout.slice(out), ...this.stderr.slice(err)];
    await waitFor(
      `evenkeel ${this.words.join(' ')} says '${ready}'`,
      () => {
        if (written().some((line) => line.includes(ready))) return true;
        if (child.exitCode === null && child.signalCode === null) return false;
        throw new Error(`evenkeel ${this.words.join(' ')} ended:\n${written().join('\n')}`);
      },
      60_000,
      written,
    );
  }

  /** Sends a signal and resolves with the exit code once it is gone, null if the signal ended it. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (!child) return this.#exitCode;
    const gone = this.exited();
    child.kill(signal);
    return gone;
  }

  /** Resolves with the exit code once it is gone, by itself or not; with its last life's, if it is gone already. */
  async exited(): Promise<number | null> {
    const child = this.#child;
    if (!child) return this.#exitCode;
    return new Promise((resolve) => child.once('exit', (code) => resolve(code)));
  }
}
