import { forEachBounded } from '../bounded.ts';
import { DomainFailure } from '../domain/failures.ts';
import type { Outstanding } from '../domain/order-ports.ts';
import type { Log } from '../telemetry/log.ts';
import type { Handover } from './handover.ts';

export interface SweepDeps {
  readonly outstanding: Outstanding;
  readonly handover: Handover;
  readonly log: Log;
}

export interface SweepCounts {
  readonly started: number;
  readonly delivered: number;
  readonly cancelled: number;
}

const BATCH = 200;
const AT_A_TIME = 8;

/**
 * Tells Temporal what was committed and what it has not been told: orders to start, messages to deliver, cancellations.
 * The API tries at once; this takes what was left because Temporal, or the API itself, went away in between.
 * `olderThanMs` leaves the API's own tries alone. One round; stops early while Temporal does not answer.
 */
export async function sweep(deps: SweepDeps, olderThanMs: number, signal: AbortSignal): Promise<SweepCounts> {
  const { outstanding, handover } = deps;
  // In this order: a message or a cancellation needs a workflow to listen.
  const unstarted = await outstanding.unstarted(olderThanMs, BATCH);
  const started = await each(deps, signal, unstarted, (order) => handover.start(order));
  const messages = await outstanding.undeliveredMessages(olderThanMs, BATCH);
  const delivered = await each(deps, signal, messages, (message) => handover.deliver(message));
  const orderIds = await outstanding.undeliveredCancellations(olderThanMs, BATCH);
  const cancelled = await each(deps, signal, orderIds, async (orderId) => {
    // Its workflow was started and is gone: nothing listens, and the reconciler sees to the order.
    if ((await handover.cancel(orderId)) === 'closed') await outstanding.markCancellationDelivered(orderId);
  });
  return { started, delivered, cancelled };
}

/**
 * Does `work` on each of `items`, a few at a time, until Temporal does not answer. Counts the successes; a failure is
 * logged and left for the next round.
 */
export async function each<T>(
  { log }: Pick<SweepDeps, 'log'>,
  signal: AbortSignal,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<number> {
  let done = 0;
  const away = new AbortController();
  const stop = AbortSignal.any([signal, away.signal]);
  await forEachBounded(items, { concurrency: AT_A_TIME, signal: stop }, async (item) => {
    try {
      await work(item);
      done += 1;
    } catch (error) {
      if (error instanceof DomainFailure && error.code === 'workflow_unavailable') away.abort();
      log.warn({ err: error }, 'sweep: left for the next round');
    }
  });
  return done;
}
