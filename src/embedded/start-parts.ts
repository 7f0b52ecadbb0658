import { access, constants, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freshLog, prepareDataDir } from './data-dir.ts';
import { type LockRecord, acquireLock, lockFile, releaseLock } from './lock.ts';
import { PartsError, errorCode, onDisk } from './parts-error.ts';
import { answers, claimPort, rememberedPort } from './ports.ts';
import { ensureDatabase, preparePostgres, waitForPostgres } from './postgres.ts';
import { type PartSpec, type Supervisor, startSupervisor } from './supervisor.ts';
import { findTemporalCli } from './temporal-cli.ts';
import { devServer, waitForTemporal } from './temporal-server.ts';

export interface PartsRequest {
  /** Made if it is not there; everything the parts write lies in it. */
  readonly dataDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** One line of progress. */
  readonly report: (line: string) => void;
  /** Gives up starting; what runs already is stopped. Of no effect once the parts are started: then call `stop`. */
  readonly signal?: AbortSignal;
  /** Start PostgreSQL, with this database in it. */
  readonly postgres?: { readonly database: string; readonly settings?: Readonly<Record<string, string>> } | undefined;
  /** Start Temporal on these ports (0: any). `storage` is `disk` unless said otherwise. */
  readonly temporal?:
    | {
        readonly port: number;
        readonly uiPort: number;
        readonly namespace: string;
        readonly storage?: 'disk' | 'memory';
      }
    | undefined;
  /** Start the pretend providers; `command` says how to run them on a port of 127.0.0.1. */
  readonly sandbox?: { readonly command: (port: number) => PartCommand } | undefined;
}

/** `env` is all of its environment. */
export interface PartCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface Parts {
  /** With the superuser's name and password. Undefined where PostgreSQL was not asked for; so with the others. */
  readonly databaseUrl: string | undefined;
  /** host:port */
  readonly temporalAddress: string | undefined;
  readonly temporalUiUrl: string | undefined;
  readonly sandboxUrl: string | undefined;
  /** Stops all parts, PostgreSQL last, and gives the folder back. May be called any number of times. */
  stop(): Promise<void>;
  /** Rejects with a `PartsError`, with the end of its log, as soon as a part ends by itself. */
  readonly failed: Promise<never>;
}

/** A part that is about to be started, and how to tell that it is ready. */
interface Planned {
  readonly spec: PartSpec;
  readonly ready: (signal: AbortSignal) => Promise<void>;
}

/**
 * Starts the parts asked for, at once, and resolves when all of them are ready. They end with this process, whatever
 * ends it. Throws a `PartsError` that says what to do where this machine stands in the way; nothing runs then.
 */
export async function startParts(request: PartsRequest): Promise<Parts> {
  const { report, signal = new AbortController().signal } = request;
  const dataDir = await prepareDataDir(request.dataDir);
  return await onDisk(dataDir, async () => {
    const lock = await acquireLock(dataDir, report);
    return await startLocked(dataDir, lock, request, signal);
  });
}

async function startLocked(
  dataDir: string,
  lock: LockRecord,
  request: PartsRequest,
  signal: AbortSignal,
): Promise<Parts> {
  let supervisor: Supervisor | undefined;
  try {
    const postgres = request.postgres && (await planPostgres(dataDir, request, request.postgres, signal));
    const temporal = request.temporal && (await planTemporal(dataDir, request, request.temporal, signal));
    const sandbox = request.sandbox && (await planSandbox(dataDir, request.sandbox));
    // Stopped in the reverse order: those that write to PostgreSQL before it.
    const planned: readonly Planned[] = [postgres, temporal, sandbox].filter((part) => part !== undefined);
    signal.throwIfAborted();

    const specs = planned.map(({ spec }) => spec);
    supervisor = startSupervisor(lockFile(dataDir), lock, specs, await freshLog(dataDir, 'supervisor'));
    await allReady(planned, supervisor, signal);
    const running = supervisor;
    return {
      databaseUrl: postgres?.url,
      temporalAddress: temporal?.address,
      temporalUiUrl: temporal?.uiUrl,
      sandboxUrl: sandbox?.url,
      stop: () => running.stop(),
      failed: running.failed,
    };
  } catch (error) {
    if (supervisor) await supervisor.stop();
    else releaseLock(lockFile(dataDir), lock.owner);
    throw error;
  }
}

async function allReady(planned: readonly Planned[], supervisor: Supervisor, signal: AbortSignal): Promise<void> {
  const giveUp = new AbortController();
  const waiting = AbortSignal.any([signal, giveUp.signal]);
  try {
    await supervisor.started;
    await Promise.race([supervisor.failed, Promise.all(planned.map(({ ready }) => ready(waiting)))]);
  } finally {
    giveUp.abort();
  }
}

async function planPostgres(
  dataDir: string,
  { report }: PartsRequest,
  { database, settings }: NonNullable<PartsRequest['postgres']>,
  signal: AbortSignal,
): Promise<Planned & { readonly url: string }> {
  const port = await rememberedPort(dataDir, 'postgres');
  const logFile = await freshLog(dataDir, 'postgres');
  const prepared = await preparePostgres({ dataDir, port, logFile, report, signal, settings });
  const superuserUrl = prepared.urlOf('postgres');
  return {
    spec: prepared.part,
    url: prepared.urlOf(database),
    ready: async (waiting) => {
      await waitForPostgres(superuserUrl, waiting);
      await ensureDatabase(superuserUrl, database);
    },
  };
}

async function planTemporal(
  dataDir: string,
  { env, report }: PartsRequest,
  wanted: NonNullable<PartsRequest['temporal']>,
  signal: AbortSignal,
): Promise<Planned & { readonly address: string; readonly uiUrl: string }> {
  const { namespace } = wanted;
  const port = await claimPort(wanted.port, 'Temporal', 'EVENKEEL_TEMPORAL_PORT');
  const uiPort = await claimPort(wanted.uiPort, 'the Temporal Web UI', 'EVENKEEL_TEMPORAL_UI_PORT');
  const cliPath = await findTemporalCli({ env, report, signal });
  const folder = join(dataDir, 'temporal');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const dbFile = wanted.storage === 'memory' ? undefined : join(folder, 'temporal.db');
  if (dbFile !== undefined) await ownDatabase(dbFile);
  const address = `127.0.0.1:${port}`;
  return {
    spec: devServer({ cliPath, port, uiPort, namespace, dbFile, logFile: await freshLog(dataDir, 'temporal') }),
    address,
    uiUrl: `http://127.0.0.1:${uiPort}`,
    ready: (waiting) => waitForTemporal(address, namespace, waiting),
  };
}

/** A file that root left behind would make Temporal end with a message that names no cause. */
async function ownDatabase(file: string): Promise<void> {
  try {
    await access(file, constants.R_OK | constants.W_OK);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw new PartsError(
      `${file} cannot be written: another user started Evenkeel here before. Start it as that user, ` +
        `or choose another folder by EVENKEEL_DATA_DIR.`,
      { cause: error },
    );
  }
}

async function planSandbox(
  dataDir: string,
  { command }: NonNullable<PartsRequest['sandbox']>,
): Promise<Planned & { readonly url: string }> {
  const port = await rememberedPort(dataDir, 'sandbox');
  return {
    spec: {
      name: 'the sandbox',
      ...command(port),
      cwd: process.cwd(),
      logFile: await freshLog(dataDir, 'sandbox'),
      stop: [{ signal: 'SIGTERM', graceMs: 5_000 }],
    },
    url: `http://127.0.0.1:${port}`,
    ready: (waiting) => waitForPort(port, waiting),
  };
}

async function waitForPort(port: number, signal: AbortSignal, timeoutMs = 60_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  // oxlint-disable-next-line no-await-in-loop -- polls until it answers
  while (!(await answers(port))) {
    if (performance.now() > deadline) throw new PartsError(`nothing answers on port ${port} after ${timeoutMs} ms`);
    // oxlint-disable-next-line no-await-in-loop -- the wait between two attempts
    await delay(50, undefined, { signal });
  }
}
