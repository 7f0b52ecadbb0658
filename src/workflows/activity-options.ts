import {
  ActivityFailure,
  ApplicationFailure,
  TemporalFailure,
  condition,
  isCancellation,
  proxyActivities,
  proxyLocalActivities,
  sleep,
} from '@temporalio/workflow';
import type { Activities } from '../activities/activities.ts';
import { LONGEST_ATTEMPT_MS } from '../domain/provider-ports.ts';

/** A provider that is away for longer than this parks the step; it is tried on in the background all the same. */
const PROVIDER_PATIENCE = '24 hours';
/** Caps every wait between attempts: at least the longest Retry-After that the activities honor. */
const LONGEST_WAIT = '10 minutes';

/** Where a step runs: at first inside the workflow task, then, on trouble, as an activity of its own. */
export interface Room {
  readonly local: Activities;
  readonly durable: Activities;
}

const once = { maximumAttempts: 1 };
const patient = { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: LONGEST_WAIT } as const;

/** Steps on our own database: no limit, it is ours to bring back. */
export const own: Room = {
  local: proxyLocalActivities<Activities>({ startToCloseTimeout: '2s', retry: once }),
  durable: proxyActivities<Activities>({ startToCloseTimeout: '15s', retry: patient }),
};

/** Steps at a provider: retried for a day, then a person is told. */
export const provider: Room = {
  local: proxyLocalActivities<Activities>({ startToCloseTimeout: '2s', retry: once }),
  durable: proxyActivities<Activities>({
    // The call itself is aborted earlier, so that its outcome can still be recorded.
    startToCloseTimeout: LONGEST_ATTEMPT_MS,
    scheduleToCloseTimeout: PROVIDER_PATIENCE,
    retry: patient,
  }),
};

/** For a step that is parked because its provider was away: goes on trying until it is back. */
export const background: Activities = proxyActivities<Activities>({
  startToCloseTimeout: LONGEST_ATTEMPT_MS,
  retry: { initialInterval: '1 minute', backoffCoefficient: 1 },
});

/** Holds one workflow's local activities in a row. */
export class LocalLane {
  #busy = false;

  async take<T>(work: () => Promise<T>): Promise<T> {
    // One that frees the lane wakes everybody who waits for it: only the first finds it free.
    while (this.#busy) await condition(() => !this.#busy);
    this.#busy = true;
    try {
      return await work();
    } finally {
      this.#busy = false;
    }
  }
}

/**
 * Runs a step as a local activity, and as a regular one if that failed in a way that trying again can mend. A refusal
 * for good or a cancellation is thrown as it is.
 *
 * Local activities of one workflow never run side by side: their results arrive in the order they finish, but replay
 * in the order they began (sdk-typescript#1744), so branches would resume in another order than recorded.
 */
export async function localFirst<T>(
  lane: LocalLane,
  room: Room,
  step: (activities: Activities) => Promise<T>,
): Promise<T> {
  try {
    return await lane.take(() => step(room.local));
  } catch (error) {
    // A local activity's failure may come bare, a regular one's comes wrapped: from here on all are wrapped.
    const cause = error instanceof ActivityFailure ? error.cause : error;
    if (!(cause instanceof TemporalFailure) || isCancellation(error)) throw error;
    if (cause instanceof ApplicationFailure && cause.nonRetryable) throw wrapped(error, cause);
    const retryAfterMs = askedToWaitMs(cause);
    if (retryAfterMs > 0) await sleep(retryAfterMs);
    return await step(room.durable);
  }
}

function wrapped(error: unknown, cause: TemporalFailure): ActivityFailure {
  if (error instanceof ActivityFailure) return error;
  return new ActivityFailure(cause.message, 'local', undefined, 'NON_RETRYABLE_FAILURE', undefined, cause);
}

/** The other side's `Retry-After`, which our activities pass on as the failure's first detail. */
function askedToWaitMs(cause: unknown): number {
  if (!(cause instanceof ApplicationFailure)) return 0;
  const detail: unknown = cause.details?.[0];
  if (typeof detail !== 'object' || detail === null || !('retryAfterMs' in detail)) return 0;
  return typeof detail.retryAfterMs === 'number' ? detail.retryAfterMs : 0;
}
