import { setTimeout } from 'node:timers/promises';
import type { Log, LogFields } from '../telemetry/log.ts';

/** How long an answer may be held up by something that is made up for later anyway. */
const boundMs = 2_000;

/**
 * Tries what is already committed and will be done again by the sweeper if it fails now: a failure or a delay beyond
 * two seconds is logged, with what follows from it in `otherwise`, and never thrown.
 */
export async function bestEffort(
  log: Log,
  fields: LogFields,
  otherwise: string,
  work: () => Promise<void>,
): Promise<void> {
  const over = new AbortController();
  const timeUp = setTimeout(boundMs, undefined, { signal: over.signal, ref: false }).then(() => {
    throw new Error(`no answer within ${boundMs} ms`);
  });
  try {
    await Promise.race([work(), timeUp]);
  } catch (err) {
    log.warn({ err, ...fields }, otherwise);
  } finally {
    timeUp.catch(() => undefined);
    over.abort();
  }
}
