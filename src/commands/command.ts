/** What a command may touch of its process, so that a test can call it without one. */
export interface CommandIo {
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Fires on the first Ctrl-C or SIGTERM: finish what is in flight, then return. */
  readonly signal: AbortSignal;
}

/** Runs one command with the words behind its name and returns the exit code: 0 done, 1 failed, 2 bad usage. */
export type Run = (args: readonly string[], io: CommandIo) => Promise<number>;

/** Thrown for words that a command cannot use: printed with a hint at its help, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Prints `help` if it is asked for; refuses any other word, for commands that take none. */
export function wantsHelp(args: readonly string[], io: CommandIo, help: string): boolean {
  const [word] = args;
  if (word === '--help' || word === '-h') {
    io.stdout.write(help);
    return true;
  }
  if (word !== undefined) throw new UsageError(`'${word}' means nothing here`);
  return false;
}
