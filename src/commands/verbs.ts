import { type ApiClient, createApiClient, Interrupted } from './api-client.ts';
import { apiKey } from './api-key.ts';
import { type CommandIo, type Run, UsageError } from './command.ts';

/** A command that does several things: `evenkeel <command> [<verb>] …`, where no verb means `usual`. */
export function withVerbs<Verb extends string>(
  help: string,
  verbs: Readonly<Record<Verb, Run>>,
  usual: NoInfer<Verb>,
): Run {
  const known = new Map<string, Run>(Object.entries<Run>(verbs));
  return async (args, io) => {
    if (args.includes('--help') || args.includes('-h')) {
      io.stdout.write(help);
      return 0;
    }
    const [word, ...rest] = args;
    if (word === undefined || word.startsWith('-')) return verbs[usual](args, io);
    const verb = known.get(word);
    if (!verb) throw new UsageError(`'${word}' means nothing here; it takes ${[...known.keys()].join(', ')}`);
    return verb(rest, io);
  };
}

export interface Session {
  readonly client: ApiClient;
  /** Whether any request was made more than once: its first answer may have been lost. */
  readonly wasRepeated: () => boolean;
}

/** What a verb does with the API at `url`. Stopped by the user, it comes to 1. */
export async function withApi(
  url: URL,
  { env, signal }: Pick<CommandIo, 'env' | 'signal'>,
  use: (session: Session) => Promise<number>,
  patienceMs = 5_000,
): Promise<number> {
  let repeated = false;
  const onRetry = (): void => {
    repeated = true;
  };
  const client = createApiClient({ url, key: apiKey(url, { env }), signal, patienceMs, onRetry });
  try {
    return await use({ client, wasRepeated: () => repeated });
  } catch (error) {
    if (error instanceof Interrupted) return 1;
    throw error;
  } finally {
    await client.close();
  }
}

/** Who does something, and why. */
export const auditOptions = { actor: { type: 'string' }, reason: { type: 'string' } } as const;

/** As the API wants it; without `--actor` it is the user of this terminal. */
export function auditOf(
  { actor, reason }: { readonly actor?: string | undefined; readonly reason?: string | undefined },
  { env }: Pick<CommandIo, 'env'>,
): { readonly actor?: string; readonly reason?: string } {
  const who = actor ?? (env['USER'] || env['LOGNAME'] || undefined);
  return { ...(who === undefined ? {} : { actor: who }), ...(reason === undefined ? {} : { reason }) };
}

/** For what nobody would understand later without one. */
export function requireReason(reason: string | undefined): void {
  if (reason === undefined || reason.trim() === '') throw new UsageError('--reason is missing: it is kept with it');
}
