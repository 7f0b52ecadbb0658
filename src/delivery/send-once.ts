import type { AttemptResult, FailureCause } from '../domain/delivery.ts';
import type { ClaimedDelivery, EventSender } from '../domain/delivery-ports.ts';
import type { Log } from '../telemetry/log.ts';

/** How long a sender may take to give up once it is told to. */
const GIVE_UP_MS = 2_000;

export interface SendBounds {
  readonly timeoutMs: number;
  /** Fires when the relay cannot wait any longer. */
  readonly stop: AbortSignal;
}

export interface Sent {
  readonly result: AttemptResult;
  /** There was no answer yet when `stop` fired: a failure that is nobody's. */
  readonly wasStopped: boolean;
}

/**
 * One attempt. Always comes to a result in time, whatever the sender does: one that throws or does not give up has a
 * bug, which must cost no more than this attempt.
 */
export async function sendOnce(
  { sender, log }: { readonly sender: EventSender; readonly log: Log },
  delivery: ClaimedDelivery,
  { timeoutMs, stop }: SendBounds,
): Promise<Sent> {
  const ids = { eventId: delivery.eventId, consumerId: delivery.destination.consumerId };
  const startedAt = new Date();
  const begun = performance.now();
  const failed = (cause: FailureCause, error: string): Sent => ({
    result: {
      outcome: 'failed',
      cause: stop.aborted ? 'connection_broken' : cause,
      status: null,
      answer: null,
      error: stop.aborted ? 'the relay was stopped before there was an answer' : error,
      retryAfterMs: null,
      startedAt,
      durationMs: Math.round(performance.now() - begun),
    },
    wasStopped: stop.aborted,
  });
  const bound = boundedBy(timeoutMs, stop);
  try {
    const result = await Promise.race([send(sender, delivery, bound.signal), bound.overdue]);
    if (result === 'overdue') {
      log.error(ids, 'a sender did not give up when it was told to: a bug');
      return failed('timeout', 'no answer, and no end of the attempt in time');
    }
    return stop.aborted && result.outcome === 'failed' ? failed('timeout', '') : { result, wasStopped: false };
  } catch (error) {
    log.error({ err: error, ...ids }, 'a sender threw instead of saying how it failed: a bug');
    return failed('bad_answer', 'the attempt failed in an unexpected way; see the log');
  } finally {
    bound.release();
  }
}

/** Async, so that what a sender throws at once is a rejection like any other. */
async function send(sender: EventSender, delivery: ClaimedDelivery, signal: AbortSignal): Promise<AttemptResult> {
  return sender.send(delivery, delivery.destination, { signal });
}

/** Aborts after `timeoutMs` or when `stop` fires; `overdue` resolves where that did not help. */
function boundedBy(timeoutMs: number, stop: AbortSignal) {
  const bound = new AbortController();
  const { promise: overdue, resolve } = Promise.withResolvers<'overdue'>();
  let timer = setTimeout(() => end(new DOMException('no answer in time', 'TimeoutError')), timeoutMs);
  const onStop = (): void => end(stop.reason);
  function end(reason: unknown): void {
    stop.removeEventListener('abort', onStop);
    clearTimeout(timer);
    timer = setTimeout(() => resolve('overdue'), GIVE_UP_MS);
    bound.abort(reason);
  }
  if (stop.aborted) onStop();
  else stop.addEventListener('abort', onStop);
  return {
    signal: bound.signal,
    overdue,
    release(): void {
      clearTimeout(timer);
      stop.removeEventListener('abort', onStop);
    },
  };
}
