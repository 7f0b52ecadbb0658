/** A Temporal server that speaks TLS only, and only with whom its authority has given a certificate. */
import { randomInt } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { readFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { isFree } from '../../src/embedded/ports.ts';
import type { CertificateFiles } from './certificates.ts';
import { PlainProcess } from './compose-process.ts';
import { findTemporalServer } from './compose-tool.ts';
import { waitFor } from './wait.ts';

export interface TlsTemporal {
  readonly address: string;
  readonly namespace: string;
  stop(): Promise<void>;
}

export interface TlsParts {
  readonly ca: string;
  readonly server: CertificateFiles;
  readonly client: CertificateFiles;
}

/** Starts it with its data in memory, and with a namespace. */
export async function startTlsTemporal(parts: TlsParts): Promise<TlsTemporal> {
  const { folder: programs } = await findTemporalServer();
  const folder = await mkdtemp(join(tmpdir(), 'evenkeel-temporal-tls-'));
  await chmod(folder, 0o711);
  const ports = await portsFor(9);
  await writeFile(join(folder, 'config.yaml'), stringify(configuration(ports, parts)));
  await writeFile(join(folder, 'dynamic.yaml'), '');
  const server = new PlainProcess({
    command: join(programs, 'temporal-server'),
    args: ['--root', folder, '--config', '.', '--env', 'config', '--allow-no-auth', 'start'],
    env: {},
    cwd: folder,
    logFile: join(folder, 'log'),
  });
  const address = `127.0.0.1:${ports[0]}`;
  const stop = async (): Promise<void> => {
    await server.end('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  };
  const namespace = 'shop';
  try {
    const log = (): string => readFileSync(join(folder, 'log'), 'utf8').slice(-3_000);
    await waitFor('Temporal with TLS has its namespace', () => registered(address, namespace, parts), 90_000, log);
    return { address, namespace, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function registered(address: string, namespace: string, { ca, client }: TlsParts): Promise<boolean> {
  const tls = {
    serverRootCACertificate: readFileSync(ca),
    clientCertPair: { crt: readFileSync(client.cert), key: readFileSync(client.key) },
  };
  const connection = await Connection.connect({ address, tls, connectTimeout: 2_000 }).catch(() => undefined);
  if (connection === undefined) return false;
  const workflowExecutionRetentionPeriod = { seconds: 24 * 3600 } as never;
  try {
    await connection.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod });
  } catch {
    // It is there from the attempt before, or cannot be made yet.
  }
  try {
    // Until then its own processes do not know of it.
    await connection.workflowService.listWorkflowExecutions({ namespace });
    return true;
  } catch {
    return false;
  } finally {
    await connection.close();
  }
}

/** Below 32768: Temporal keeps the ports of its members as smallint. */
async function portsFor(count: number): Promise<number[]> {
  const free = new Set<number>();
  while (free.size < count) {
    const port = randomInt(20_000, 32_768);
    if (await isFree(port)) free.add(port);
  }
  return [...free];
}

function configuration(ports: readonly number[], { ca, server, client }: TlsParts) {
  const memory = (databaseName: string) => ({
    sql: {
      pluginName: 'sqlite',
      databaseName,
      connectAddr: 'localhost',
      connectProtocol: 'tcp',
      connectAttributes: { mode: 'memory', cache: 'private' },
      maxConns: 1,
      maxIdleConns: 1,
      maxConnLifetime: '1h',
    },
  });
  const service = (at: number) => ({
    rpc: { grpcPort: ports[at], membershipPort: ports[at + 1], bindOnLocalHost: true },
  });
  const toFrontend = { serverName: 'localhost', rootCaFiles: [ca] };
  return {
    log: { stdout: true, level: 'warn' },
    persistence: {
      numHistoryShards: 1,
      defaultStore: 'default',
      visibilityStore: 'visibility',
      datastores: { default: memory('default'), visibility: memory('visibility') },
    },
    global: {
      membership: { maxJoinDuration: '30s', broadcastAddress: '127.0.0.1' },
      tls: {
        frontend: {
          server: { certFile: server.cert, keyFile: server.key, requireClientAuth: true, clientCaFiles: [ca] },
          client: toFrontend,
        },
        systemWorker: { certFile: client.cert, keyFile: client.key, client: toFrontend },
      },
    },
    services: { frontend: service(0), history: service(2), matching: service(4), worker: service(6) },
    clusterMetadata: {
      enableGlobalNamespace: false,
      failoverVersionIncrement: 10,
      masterClusterName: 'active',
      currentClusterName: 'active',
      clusterInformation: {
        active: { enabled: true, initialFailoverVersion: 1, rpcName: 'frontend', rpcAddress: `127.0.0.1:${ports[0]}` },
      },
    },
    dcRedirectionPolicy: { policy: 'noop' },
    publicClient: { hostPort: `127.0.0.1:${ports[0]}` },
    dynamicConfigClient: { filepath: 'dynamic.yaml', pollInterval: '60s' },
  };
}
