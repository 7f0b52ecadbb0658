import type { App } from './app.ts';
import { runRelay } from './delivery/relay.ts';
import { activityInterceptors } from './telemetry/temporal-interceptors.ts';
import { workflowBundle } from './workers/bundle.ts';
import { createWorker, runWorker } from './workers/worker.ts';

const HOUR_MS = 3_600_000;
const LONGEST_BACKOFF_MS = 6 * HOUR_MS;

/** Runs a worker until `signal` fires, then drains it. Rejects if it fails by itself. */
export async function startWorker(app: App, signal: AbortSignal): Promise<{ stopped: Promise<void> }> {
  const { activities, config, instruments, log, temporal } = app;
  if (!temporal.native) throw new Error('a worker needs a connection of its own kind');
  const worker = await createWorker({
    connection: temporal.native,
    namespace: temporal.namespace,
    activities,
    dataConverter: temporal.dataConverter,
    bundle: await workflowBundle(),
    log,
    drainMs: config.EVENKEEL_DRAIN_MS,
    maxConcurrentSteps: config.EVENKEEL_MAX_CONCURRENT_STEPS,
    metrics: instruments.metrics,
    interceptors: [activityInterceptors(log, instruments.tracing)],
  });
  const relay = runRelay(
    { queue: app.deliveryQueue, sender: app.sender, workflows: app.deliveryWorkflows, log },
    {
      policy: {
        maxStrikes: config.EVENKEEL_DELIVERY_MAX_ATTEMPTS,
        backoffBaseMs: config.EVENKEEL_DELIVERY_BACKOFF_MS,
        backoffCapMs: LONGEST_BACKOFF_MS,
        longestRetryAfterMs: HOUR_MS,
      },
      concurrency: config.EVENKEEL_DELIVERY_CONCURRENCY,
      timeoutMs: config.EVENKEEL_DELIVERY_TIMEOUT_MS,
    },
    signal,
  );
  log.info({}, 'worker runs');
  return { stopped: Promise.all([runWorker(worker, signal), relay]).then(() => undefined) };
}
