/** Real servers for the integration and e2e tests: one PostgreSQL and one Temporal, once per run of vitest. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { type Parts, startParts } from '../../src/embedded/start-parts.ts';
import { findTemporalCli } from '../../src/embedded/temporal-cli.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The database `postgres` of a PostgreSQL of this run, as its superuser. */
    databaseUrl: string;
    /** host:port of a Temporal server of this run, in memory, with our search attributes in the namespace default. */
    temporalAddress: string;
    temporalUiUrl: string;
    /** The executable, for tests that start and stop servers of their own. */
    temporalCliPath: string;
  }
}

interface Servers {
  readonly parts: Parts;
  readonly cliPath: string;
  readonly folder: string;
  users: number;
}

// vitest loads this file once per project; the servers are for all of them.
const shared = globalThis as { evenkeelTestServers?: Promise<Servers> | undefined };

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { parts, cliPath } = await using();
  project.provide('databaseUrl', given(parts.databaseUrl));
  project.provide('temporalAddress', given(parts.temporalAddress));
  project.provide('temporalUiUrl', given(parts.temporalUiUrl));
  project.provide('temporalCliPath', cliPath);
  return leave;
}

async function using(): Promise<Servers> {
  const servers = await (shared.evenkeelTestServers ??= start());
  servers.users += 1;
  return servers;
}

async function leave(): Promise<void> {
  const servers = await shared.evenkeelTestServers;
  if (!servers) return;
  servers.users -= 1;
  if (servers.users > 0) return;
  shared.evenkeelTestServers = undefined;
  await servers.parts.stop();
  await rm(servers.folder, { recursive: true, force: true });
}

function report(line: string): void {
  console.log(line);
}

async function start(): Promise<Servers> {
  const cliPath = await findTemporalCli({ env: process.env, report, signal: new AbortController().signal });
  const folder = await mkdtemp(join(tmpdir(), 'evenkeel-test-'));
  // As root, PostgreSQL runs as somebody else, who must pass through.
  await chmod(folder, 0o711);
  const parts = await startParts({
    dataDir: join(folder, 'data'),
    env: { ...process.env, TEMPORAL_CLI_PATH: cliPath },
    report,
    // The tests kill processes, not the machine.
    postgres: { database: 'postgres', settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } },
    temporal: { port: 0, uiPort: 0, namespace: 'default', storage: 'memory' },
  });
  return { parts, cliPath, folder, users: 0 };
}

function given(address: string | undefined): string {
  if (address === undefined) throw new Error('a server that was asked for has no address');
  return address;
}
