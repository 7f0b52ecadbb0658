import { setTimeout } from 'node:timers/promises';
import type { Attempt } from '../domain/step-ports.ts';
import { type ReconcileDeps, type ReconcileSettings, reconcile } from './reconciler.ts';
import { type SweepDeps, sweep } from './sweeper.ts';

export interface UpkeepSettings extends ReconcileSettings {
  /** What the API was to hand over itself is left to it for this long. */
  readonly graceMs: number;
}

export type UpkeepDeps = SweepDeps & ReconcileDeps;

/** One round of the whole upkeep, as the schedule runs it. */
export function createUpkeep(deps: UpkeepDeps, settings: UpkeepSettings) {
  return {
    async run(attempt: Attempt): Promise<Readonly<Record<string, number>>> {
      const swept = await sweep(deps, settings.graceMs, attempt.signal);
      return { ...swept, ...(await reconcile(deps, settings, attempt)) };
    },
  };
}

/**
 * Runs `round` every `everyMs`, give or take a fifth, until `signal` fires; never two at a time. A round that fails is
 * logged and followed by the next: whatever is away now, Temporal above all, is what this loop is there for.
 */
export async function repeat(
  what: string,
  everyMs: number,
  { signal, log }: { signal: AbortSignal; log: UpkeepDeps['log'] },
  round: () => Promise<unknown>,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await setTimeout(everyMs * (0.8 + Math.random() * 0.4), undefined, { signal });
      await round();
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error }, `${what}: this round failed`);
    }
  }
}
