import { homedir } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { PartsError, messageOf } from './parts-error.ts';
import type { PartSpec } from './supervisor.ts';

export interface DevServerOptions {
  readonly cliPath: string;
  readonly port: number;
  readonly uiPort: number;
  readonly namespace: string;
  /** Where it keeps its workflows; undefined: in memory. */
  readonly dbFile?: string | undefined;
  readonly logFile: string;
}

/** What the order workflow writes, findable in the Web UI. */
const SEARCH_ATTRIBUTES: Readonly<Record<string, string>> = { OrderStatus: 'Keyword', OrderAttention: 'Keyword' };

/**
 * The queue processors' default of 20 polls a second adds 45 ms to every dispatch; a task queue with one partition
 * needs no forwarding between them.
 */
const DYNAMIC_CONFIG: readonly string[] = [
  'history.transferProcessorMaxPollRPS=100000',
  'history.timerProcessorMaxPollRPS=100000',
  'history.visibilityProcessorMaxPollRPS=100000',
  'system.enableActivityEagerExecution=true',
  'matching.numTaskqueueReadPartitions=1',
  'matching.numTaskqueueWritePartitions=1',
];

/** How to run Temporal's development server, with its Web UI, tuned, and with our search attributes. */
export function devServer(options: DevServerOptions): PartSpec {
  const { PATH = '/usr/bin:/bin' } = process.env;
  return {
    name: 'Temporal',
    command: options.cliPath,
    args: [
      'server',
      'start-dev',
      '--ip=127.0.0.1',
      '--log-level=warn',
      `--port=${options.port}`,
      `--ui-port=${options.uiPort}`,
      `--namespace=${options.namespace}`,
      ...(options.dbFile === undefined ? [] : [`--db-filename=${options.dbFile}`]),
      '--sqlite-pragma=journal_mode=WAL',
      '--sqlite-pragma=synchronous=NORMAL',
      ...DYNAMIC_CONFIG.map((setting) => `--dynamic-config-value=${setting}`),
      ...Object.entries(SEARCH_ATTRIBUTES).map(([name, type]) => `--search-attribute=${name}=${type}`),
    ],
    // None of our caller's TEMPORAL_*: they are meant for clients.
    env: { PATH, HOME: homedir() },
    cwd: '/',
    logFile: options.logFile,
    stop: [{ signal: 'SIGTERM', graceMs: 15_000 }],
  };
}

/** Resolves once the server answers and knows the search attributes. Throws a `PartsError` after `timeoutMs`. */
export async function waitForTemporal(
  address: string,
  namespace: string,
  signal: AbortSignal,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  while (performance.now() < deadline) {
    signal.throwIfAborted();
    try {
      // oxlint-disable-next-line no-await-in-loop -- the next attempt only if this one failed
      if (await knowsAttributes(address, namespace)) return;
    } catch (error) {
      last = error;
    }
    // oxlint-disable-next-line no-await-in-loop -- the wait between two attempts
    await delay(100, undefined, { signal });
  }
  throw new PartsError(`Temporal does not answer on ${address}: ${messageOf(last)}`, { cause: last });
}

async function knowsAttributes(address: string, namespace: string): Promise<boolean> {
  const connection = await Connection.connect({ address, connectTimeout: 2_000 });
  try {
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    return Object.keys(SEARCH_ATTRIBUTES).every((name) => name in customAttributes);
  } finally {
    await connection.close();
  }
}
