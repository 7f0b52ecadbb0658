import type { Thresholds } from '../domain/objectives.ts';
import type { SloRecords } from '../domain/slo-ports.ts';
import type { Log } from '../telemetry/log.ts';
import { createBell } from './bell.ts';
import { createOutage } from './outage.ts';

export interface JudgeDeps {
  readonly records: Pick<SloRecords, 'judge'>;
  readonly log: Log;
}

const EVERY_MS = 1_000;

/**
 * Judges what is due each second until `signal` fires, and at once again while there is more. In as many processes as
 * there are: of them all one works at a time. Never rejects: what could not be judged is judged later, by its own time.
 */
export async function runJudge(
  { records, log }: JudgeDeps,
  thresholds: Thresholds,
  signal: AbortSignal,
): Promise<void> {
  const outage = createOutage('judging by the objectives', log);
  const bell = createBell();
  signal.addEventListener('abort', () => bell.ring(), { once: true });
  while (!signal.aborted) {
    try {
      const round = await records.judge(thresholds);
      outage.worked();
      if (round?.more !== true) await bell.wait(EVERY_MS);
    } catch (error) {
      await bell.wait(outage.failed(error));
    }
  }
}
