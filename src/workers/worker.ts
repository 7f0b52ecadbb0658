import {
  DefaultLogger,
  type LogLevel,
  type NativeConnection,
  Runtime,
  Worker,
  makeTelemetryFilterString,
} from '@temporalio/worker';
import type { Activities } from '../activities/activities.ts';
import { activityInterceptors } from '../telemetry/temporal-interceptors.ts';
import type { Log } from '../telemetry/log.ts';
import { ORDERS_TASK_QUEUE } from '../workflows/contract.ts';
import type { WorkflowBundle } from './bundle.ts';

export interface WorkerOptions {
  readonly connection: NativeConnection;
  readonly namespace: string;
  readonly activities: Activities;
  readonly bundle: WorkflowBundle;
  readonly log: Log;
  /** Steps at a time, local and durable each. */
  readonly maxConcurrentSteps: number;
}

/**
 * A workflow task runs its local steps before it ends. Too many at a time on few cores, and each lasts so long that the
 * server gives it up and has it done again.
 */
const WORKFLOW_TASKS_AT_A_TIME = 16;

/** How long a stopping worker lets activities finish before it cancels them. */
const GRACE = '10s';

/**
 * Sends what the SDK logs to our log, and keeps its hands off the process's signals: who starts a worker stops it.
 * Once per process, before anything else of the SDK.
 */
export function installRuntime(log: Log): void {
  const logger = new DefaultLogger('INFO', ({ level, message, meta }) => {
    logAt(log, level, meta ?? {}, message);
  });
  // Without `forward` the SDK's core writes to the standard output past us.
  const logging = { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) };
  Runtime.install({ logger, telemetryOptions: { logging }, shutdownSignals: [] });
}

/** What our own interceptor says of a failed attempt, with its trace; the SDK says it once more. */
const SAID_BEFORE = 'Activity failed';

function logAt(log: Log, level: LogLevel, meta: Readonly<Record<string, unknown>>, message: string): void {
  if (message === SAID_BEFORE) return;
  const { error, ...rest } = meta;
  const fields = error instanceof Error ? { ...rest, err: error } : meta;
  if (level === 'ERROR') log.error(fields, message);
  else if (level === 'WARN') log.warn(fields, message);
  else log.info(fields, message);
}

/** A worker for the orders' task queue, ready to `run`. */
export function createWorker(options: WorkerOptions): Promise<Worker> {
  const { connection, namespace, activities, bundle, log, maxConcurrentSteps } = options;
  return Worker.create({
    connection,
    namespace,
    taskQueue: ORDERS_TASK_QUEUE,
    workflowBundle: bundle,
    activities,
    interceptors: { activity: [activityInterceptors(log)] },
    maxConcurrentWorkflowTaskExecutions: WORKFLOW_TASKS_AT_A_TIME,
    maxConcurrentActivityTaskExecutions: maxConcurrentSteps,
    maxConcurrentLocalActivityExecutions: maxConcurrentSteps,
    maxCachedWorkflows: 1_000,
    workflowTaskPollerBehavior: { type: 'simple-maximum', maximum: 5 },
    activityTaskPollerBehavior: { type: 'simple-maximum', maximum: 5 },
    shutdownGraceTime: GRACE,
  });
}

/** Runs the worker until `signal` fires, then drains it. Rejects if the worker fails by itself. */
export async function runWorker(worker: Worker, signal: AbortSignal): Promise<void> {
  const stop = (): void => {
    if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  const running = worker.run();
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  try {
    await running;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
