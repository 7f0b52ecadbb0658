import { PartsError, messageOf } from './parts-error.ts';

/** One way to come by an executable. */
export interface Way {
  readonly name: string;
  /** Resolves with its path; throws with the reason if this way leads nowhere. */
  readonly find: () => Promise<string>;
}

/**
 * Tries the ways in order and resolves with the first path found. If none leads anywhere: a `PartsError` that names
 * each with its reason, and `advice`.
 */
export async function findByFirst(
  what: string,
  ways: readonly Way[],
  advice: string,
  signal: AbortSignal,
): Promise<string> {
  const reasons: string[] = [];
  for (const { name, find } of ways) {
    signal.throwIfAborted();
    try {
      // oxlint-disable-next-line no-await-in-loop -- the next way is taken only if this one leads nowhere
      return await find();
    } catch (error) {
      signal.throwIfAborted();
      // A decision of the user, or a full disk: other ways would not be what was asked for, or fail alike.
      if (error instanceof PartsError) throw error;
      reasons.push(`  - ${name}: ${messageOf(error)}`);
    }
  }
  throw new PartsError(`${what} was not found, and could not be got:\n${reasons.join('\n')}\n${advice}`);
}
