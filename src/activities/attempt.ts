import { Context } from '@temporalio/activity';
import { ApplicationFailure, ApplicationFailureCategory } from '@temporalio/common';
import { DomainFailure, type FailureCode, isRetryable } from '../domain/failures.ts';
import type { Attempt } from '../domain/step-ports.ts';

/** A call to a provider gets this share of the attempt's time; the rest is for recording how it ended. */
const CALL_SHARE = 0.7;
/** The longest Retry-After that is honored; the workflow's retry policy must wait at least as long. */
const LONGEST_RETRY_AFTER_MS = 10 * 60_000;
const BACKOFF = { firstMs: 500, longestMs: 60_000 };
/**
 * Of what the other side asked for, added at random: all that stood behind a breaker for a minute would come in the same
 * moment, most of them to be refused, and keep workers from orders that need nothing of it.
 */
const SPREAD = 0.25;

/** The bounds of the attempt that runs: cancelled with the activity, and in time before the activity times out. */
export function attempt(): Attempt {
  const { info, cancellationSignal } = Context.current();
  const callMs = Math.floor(info.startToCloseTimeoutMs * CALL_SHARE);
  const signal = AbortSignal.any([AbortSignal.timeout(callMs), cancellationSignal]);
  return { signal, deadline: performance.now() + callMs };
}

/** Our own decisions, counted and logged where they are made: a thousand orders behind a breaker are no thousand errors. */
const benign: ReadonlySet<FailureCode> = new Set(['breaker_open', 'bulkhead_full']);

type Activity = (...args: never[]) => Promise<unknown>;

/** Wraps every activity so that its failures leave as Temporal understands them. */
export function guarded<T extends Readonly<Record<string, Activity>>>(activities: T): T {
  const wrap =
    (activity: Activity): Activity =>
    async (...args) => {
      try {
        return await activity(...args);
      } catch (error) {
        throw error instanceof DomainFailure ? translate(error, Context.current().info.attempt, Math.random()) : error;
      }
    };
  return Object.fromEntries(Object.entries(activities).map(([name, activity]) => [name, wrap(activity)])) as T;
}

/**
 * A domain failure as Temporal's: its code is the type, the table says whether it is retryable, and the next attempt
 * waits as long as the other side asked and up to a quarter more, else exponentially with full jitter (`random` in
 * [0, 1); Temporal adds none).
 */
export function translate(failure: DomainFailure, attemptNumber: number, random: number): ApplicationFailure {
  const retryable = isRetryable(failure.code);
  const asked = Math.min(failure.retryAfterMs ?? 0, LONGEST_RETRY_AFTER_MS);
  const ceiling = Math.min(Math.max(BACKOFF.firstMs * 2 ** (attemptNumber - 1), asked * SPREAD), BACKOFF.longestMs);
  const jitterMs = Math.round(ceiling * random);
  return ApplicationFailure.create({
    message: failure.message,
    type: failure.code,
    nonRetryable: !retryable,
    details: asked > 0 ? [{ retryAfterMs: asked + jitterMs }] : [],
    // Zero would mean the policy's maximum interval: never below 1 ms.
    ...(retryable ? { nextRetryDelay: asked + Math.max(1, jitterMs) } : {}),
    ...(benign.has(failure.code) ? { category: ApplicationFailureCategory.BENIGN } : {}),
    cause: failure,
  });
}
