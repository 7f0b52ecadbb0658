import {
  type ActivityInterceptorsFactory,
  DefaultLogger,
  type LogLevel,
  type MetricsExporterConfig,
  type NativeConnection,
  Runtime,
  Worker,
  makeTelemetryFilterString,
} from '@temporalio/worker';
import type { DataConverter } from '@temporalio/common';
import type { Activities } from '../activities/activities.ts';
import { ListenError } from '../api/server.ts';
import { activityInterceptors } from '../telemetry/temporal-interceptors.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { activityMetrics, workflowSinks } from '../telemetry/temporal-metrics.ts';
import { ORDERS_TASK_QUEUE } from '../workflows/contract.ts';
import type { WorkflowBundle } from './bundle.ts';

export interface WorkerOptions {
  readonly connection: NativeConnection;
  readonly namespace: string;
  readonly activities: Activities;
  readonly bundle: WorkflowBundle;
  /** The same as the clients'; the SDK's own by default. */
  readonly dataConverter?: DataConverter;
  readonly log: Log;
  /** Steps at a time, local and durable each. */
  readonly maxConcurrentSteps: number;
  /** How long a stopping worker lets activities finish before it cancels them, in milliseconds. Default 10 s. */
  readonly drainMs?: number;
  /** Where activities and workflows are counted; absent: nowhere. */
  readonly metrics?: Metrics;
  /** Around each attempt of an activity, outermost first; by default those that log it. */
  readonly interceptors?: readonly ActivityInterceptorsFactory[];
}

export interface RuntimeOptions {
  /** `host:port` where Prometheus finds the SDK's own metrics, `temporal_*`; absent: nowhere. */
  readonly sdkMetrics?: string;
}

/**
 * A workflow task runs its local steps before it ends. Too many at a time on few cores, and each lasts so long that the
 * server gives it up and has it done again.
 */
const WORKFLOW_TASKS_AT_A_TIME = 16;

/** The SDK would cancel activities at once. */
const USUAL_DRAIN_MS = 10_000;
/** For a cancelled activity to say so, before a worker whose activity heeds no signal goes without it. */
const LAST_WORDS_MS = 2_000;

/** In seconds. The SDK's own begin at 50 ms, which is more than most of our steps and tasks take. */
const SDK_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30];
const SDK_HISTOGRAMS = [
  'request_latency',
  'workflow_task_schedule_to_start_latency',
  'workflow_task_execution_latency',
  'workflow_task_replay_latency',
  'activity_schedule_to_start_latency',
  'activity_execution_latency',
  'activity_succeed_endtoend_latency',
  'local_activity_execution_latency',
  'local_activity_succeed_endtoend_latency',
];

/**
 * Sends what the SDK logs to our log, and keeps its hands off the process's signals: who starts a worker stops it.
 * Once per process, before anything else of the SDK. Throws `ListenError` where the SDK's metrics cannot be served.
 */
export function installRuntime(log: Log, { sdkMetrics }: RuntimeOptions = {}): void {
  const logger = new DefaultLogger('INFO', ({ level, message, meta }) => {
    logAt(log, level, meta ?? {}, message);
  });
  // Without `forward` the SDK's core writes to the standard output past us.
  const logging = { forward: {}, filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }) };
  const metrics = sdkMetrics === undefined ? {} : { metrics: sdkExporter(sdkMetrics) };
  try {
    Runtime.install({ logger, telemetryOptions: { logging, ...metrics }, shutdownSignals: [] });
  } catch (error) {
    if (sdkMetrics === undefined) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new ListenError(
      `the metrics of Temporal's SDK cannot be served at ${sdkMetrics} (${why}); set EVENKEEL_METRICS_HOST to an IP address and EVENKEEL_SDK_METRICS_PORT to a free port, or to 0 for none`,
      { cause: error },
    );
  }
}

/** By Prometheus' conventions, as our own are: seconds, units in the names, `_total`. */
function sdkExporter(bindAddress: string): MetricsExporterConfig {
  return {
    attachServiceName: false,
    prometheus: {
      bindAddress,
      countersTotalSuffix: true,
      unitSuffix: true,
      useSecondsForDurations: true,
      histogramBucketOverrides: Object.fromEntries(SDK_HISTOGRAMS.map((name) => [name, SDK_BUCKETS])),
    },
  };
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
  const { connection, namespace, activities, bundle, log, maxConcurrentSteps, metrics } = options;
  const { interceptors = [activityInterceptors(log)], dataConverter, drainMs = USUAL_DRAIN_MS } = options;
  return Worker.create({
    connection,
    namespace,
    taskQueue: ORDERS_TASK_QUEUE,
    workflowBundle: bundle,
    activities,
    ...(dataConverter === undefined ? {} : { dataConverter }),
    interceptors: { activity: [...interceptors, ...(metrics === undefined ? [] : [activityMetrics(metrics)])] },
    sinks: workflowSinks(metrics),
    maxConcurrentWorkflowTaskExecutions: WORKFLOW_TASKS_AT_A_TIME,
    maxConcurrentActivityTaskExecutions: maxConcurrentSteps,
    maxConcurrentLocalActivityExecutions: maxConcurrentSteps,
    maxCachedWorkflows: 1_000,
    workflowTaskPollerBehavior: { type: 'simple-maximum', maximum: 5 },
    activityTaskPollerBehavior: { type: 'simple-maximum', maximum: 5 },
    shutdownGraceTime: drainMs,
    shutdownForceTime: drainMs + LAST_WORDS_MS,
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
