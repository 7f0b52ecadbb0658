import { setTimeout } from 'node:timers/promises';
import {
  Connection,
  type ConnectionOptions,
  defaultGrpcRetryOptions,
  makeGrpcRetryInterceptor,
} from '@temporalio/client';

/** Timers may fire this much earlier or later than they should, without anybody at fault. */
const TIMER_SLACK_MS = 100;

/**
 * A connection that is made when it is first needed, with the SDK's own retries, and that can be closed while calls wait
 * for one: the SDK's timer for a retry outlives its connection and then throws where nobody catches it, which ends the
 * process. `close` has no retry begin any more, waits for the one that may be due, a few seconds at most, and then ends
 * all calls with their last failure.
 */
export function lazyConnection(options: ConnectionOptions): { connection: Connection; close(): Promise<void> } {
  const retries = defaultGrpcRetryOptions();
  let isClosing = false;
  let lastRetryAtMs = 0;
  const interceptor = makeGrpcRetryInterceptor({
    retryableDecider: (attempt, status) => !isClosing && retries.retryableDecider(attempt, status),
    delayFunction(attempt, status) {
      const delayMs = retries.delayFunction(attempt, status);
      lastRetryAtMs = Math.max(lastRetryAtMs, performance.now() + delayMs);
      return delayMs;
    },
  });
  const connection = Connection.lazy({ ...options, interceptors: [interceptor] });
  return {
    connection,
    async close() {
      isClosing = true;
      const waitMs = lastRetryAtMs + TIMER_SLACK_MS - performance.now();
      if (waitMs > 0) await setTimeout(waitMs);
      await connection.close();
    },
  };
}
