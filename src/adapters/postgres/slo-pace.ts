import { DatabaseError } from 'pg';
import { DomainFailure } from '../../domain/failures.ts';

/** A step that takes so long makes the next one half as large; one that takes a fourth of it, twice as large. */
const SLOW_MS = 2_000;
const QUICK_MS = SLOW_MS / 4;

/**
 * How much is done at a time: at most `most`, and less for as long as that takes too long. What a record costs depends on
 * what happened to it, so that nobody can say before.
 */
export function createPace(most: number, now: () => number = () => performance.now()) {
  let size = most;
  const halve = (): void => {
    size = Math.max(1, Math.floor(size / 2));
  };
  return {
    /** Runs `work` with what may be done now. Resolves with `cancelled` where it took longer than a statement may. */
    async run<T>(work: (size: number) => Promise<T>, cancelled: T): Promise<T> {
      const began = now();
      try {
        const result = await work(size);
        const tookMs = now() - began;
        if (tookMs > SLOW_MS) halve();
        else if (tookMs < QUICK_MS) size = Math.min(most, size * 2);
        return result;
      } catch (error) {
        if (size === 1 || !isStatementTimeout(error)) throw error;
        halve();
        return cancelled;
      }
    },
  };
}

/** `query_canceled`: by its own time limit, or by somebody at a prompt. */
function isStatementTimeout(error: unknown): boolean {
  return error instanceof DomainFailure && error.cause instanceof DatabaseError && error.cause.code === '57014';
}
