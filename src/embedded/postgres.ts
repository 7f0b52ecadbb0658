import { randomBytes } from 'node:crypto';
import { access, chown, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { PartsError, errorCode, messageOf, onDisk } from './parts-error.ts';
import { type PostgresBinaries, postgresBinaries } from './postgres-binaries.ts';
import { type PostgresHome, postgresHome } from './postgres-home.ts';
import { run } from './run.ts';
import type { PartSpec } from './supervisor.ts';

export interface PostgresOptions {
  readonly dataDir: string;
  readonly port: number;
  readonly logFile: string;
  readonly report: (line: string) => void;
  readonly signal: AbortSignal;
  /** Settings of PostgreSQL over ours, for tests that need no durability. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
}

export interface PreparedPostgres {
  readonly part: PartSpec;
  /** The address of one of its databases, with the superuser's name and password. */
  urlOf(database: string): string;
}

const SUPERUSER = 'postgres';

/** Nothing durable is given up: commits reach the disk, since promises are kept over a power loss. */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  // No sockets: their path has a limit of 107 bytes, which a checkout deep in a home folder exceeds.
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: '192MB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '%m [%p] ',
};

/** Fast shutdown, immediate shutdown, as PostgreSQL calls them; the latter recovers from its log at the next start. */
const STOP = [
  { signal: 'SIGINT', graceMs: 30_000 },
  { signal: 'SIGQUIT', graceMs: 5_000 },
] as const;

/**
 * Makes the data folder if there is none, and resolves with how to run PostgreSQL on it. Throws a `PartsError` for what
 * somebody can put right.
 */
export async function preparePostgres(options: PostgresOptions): Promise<PreparedPostgres> {
  const home = await postgresHome(options.dataDir, options.report);
  const binaries = await postgresBinaries(home.account, options.report);
  const data = join(home.home, 'data');
  const password = await onDisk(home.home, async () => {
    if (!(await exists(data))) return await initialize(home, binaries, data, options);
    await removeStalePidFile(data);
    return await readPassword(home.home);
  });
  const settings = { ...SETTINGS, port: String(options.port), ...options.settings };
  return {
    part: {
      name: 'PostgreSQL',
      command: binaries.postgres,
      args: ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      env: environment(),
      cwd: '/',
      account: home.account,
      logFile: options.logFile,
      stop: STOP,
    },
    urlOf: (database) => `postgres://${SUPERUSER}:${password}@127.0.0.1:${options.port}/${database}`,
  };
}

/** Resolves once PostgreSQL at `url` answers a query. Throws a `PartsError` after `timeoutMs`. */
export async function waitForPostgres(url: string, signal: AbortSignal, timeoutMs = 120_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    signal.throwIfAborted();
    try {
      // oxlint-disable-next-line no-await-in-loop -- the next attempt only if this one failed
      await withClient(url, (client) => client.query('SELECT 1'));
      return;
    } catch (error) {
      // 28P01: somebody else's PostgreSQL, or a password file that is not this data's. Waiting does not help.
      if (errorCode(error) === '28P01' || performance.now() > deadline) {
        throw new PartsError(`PostgreSQL does not answer as it should: ${messageOf(error)}`, { cause: error });
      }
      // oxlint-disable-next-line no-await-in-loop -- the wait between two attempts
      await delay(50, undefined, { signal });
    }
  }
}

/** Creates the database unless it is there. `superuserUrl` is the address of another one on the same server. */
export async function ensureDatabase(superuserUrl: string, database: string): Promise<void> {
  await withClient(superuserUrl, async (client) => {
    const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(database)}`);
  });
}

async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  // A connection that breaks while idle is noticed by the next query.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Creates the data folder beside its place and moves it there when it is whole. Resolves with the password. */
async function initialize(
  { home, account }: PostgresHome,
  { initdb }: PostgresBinaries,
  data: string,
  { report, signal }: PostgresOptions,
): Promise<string> {
  report('creating the PostgreSQL data folder');
  const [draft, secret] = [`${data}.new`, join(home, 'password')];
  await rm(draft, { recursive: true, force: true });
  const password = randomBytes(24).toString('base64url');
  await rm(secret, { force: true });
  await writeFile(secret, `${password}\n`, { mode: 0o600 });
  if (account) await chown(secret, account.uid, account.gid);
  const { code, output } = await run(
    initdb,
    [
      `--pgdata=${draft}`,
      `--username=${SUPERUSER}`,
      `--pwfile=${secret}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      // PostgreSQL's own collation: the same order on every machine, and not every system has C.UTF-8.
      '--locale=C',
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
    ],
    { env: environment(), account, cwd: '/', signal },
  );
  if (code !== 0) {
    await rm(draft, { recursive: true, force: true });
    throw new PartsError(`PostgreSQL's data folder ${data} cannot be created:\n${output}`);
  }
  await rename(draft, data);
  return password;
}

async function readPassword(home: string): Promise<string> {
  const file = join(home, 'password');
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    throw new PartsError(
      `${file}, the password of PostgreSQL's data beside it, is missing. Put it back, or delete ${home} to begin anew.`,
      { cause: error },
    );
  }
}

/**
 * After a crash, PostgreSQL refuses to start if the pid that it left behind is another process's by now (soon so after
 * a reboot, or in a container). Our lock says that ours is gone; what looks like another PostgreSQL is left alone.
 */
async function removeStalePidFile(data: string): Promise<void> {
  const file = join(data, 'postmaster.pid');
  const pid = await readFile(file, 'utf8').then(
    (text) => text.split('\n')[0] ?? '',
    () => undefined,
  );
  if (pid === undefined) return;
  const { stdout } = await run('ps', ['-o', 'command=', '-p', pid]);
  if (!stdout.includes('postgres')) await rm(file, { force: true });
}

/** None of our caller's: PGDATA, PGPORT and the like would be taken as orders. */
function environment(): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
