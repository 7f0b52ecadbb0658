import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, onTestFinished, test } from 'vitest';
import { connectTemporal } from '../../src/adapters/temporal/connection.ts';
import { ensureSearchAttributes } from '../../src/adapters/temporal/search-attributes.ts';
import { readConfig, requirePeers } from '../../src/config.ts';
import { isTerminal } from '../../src/domain/order.ts';
import type { OrderView } from '../../src/domain/order-ports.ts';
import { freePort } from '../../src/embedded/ports.ts';
import { type TestAuthority, testAuthority } from '../support/certificates.ts';
import { BUILD_TIMEOUT_MS } from '../support/compose-tool.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { type Env, Program } from '../support/program.ts';
import { type TestSandbox, callbackSecret, startSandbox } from '../support/sandbox.ts';
import { adminKey } from '../support/admin-key.ts';
import { newKey, newOrder } from '../support/stack.ts';
import { type TlsParts, type TlsTemporal, startTlsTemporal } from '../support/temporal-tls.ts';
import { waitFor } from '../support/wait.ts';

let ours: TestAuthority;
let another: TestAuthority;
let parts: TlsParts;
let temporal: TlsTemporal;
let database: TestDatabase;
let sandbox: TestSandbox;
let port: number;

beforeAll(async () => {
  ours = testAuthority('Ours');
  another = testAuthority('Another');
  parts = { ca: ours.ca, server: ours.issue('server'), client: ours.issue('client') };
  temporal = await startTlsTemporal(parts);
  database = await testDatabase();
  port = await freePort();
  const callbackUrl = `http://127.0.0.1:${port}/v1/callbacks/carrier`;
  sandbox = await startSandbox({ callbackUrl, dispatchAfterMs: 50, deliverAfterMs: 50 });
}, BUILD_TIMEOUT_MS);

afterAll(async () => {
  await sandbox?.stop();
  await database?.drop();
  await temporal?.stop();
  for (const authority of [ours, another]) authority?.remove();
});

const withCertificate = (): Record<string, string> => ({
  TEMPORAL_TLS_SERVER_CA_CERT_PATH: ours.ca,
  TEMPORAL_TLS_CLIENT_CERT_PATH: parts.client.cert,
  TEMPORAL_TLS_CLIENT_KEY_PATH: parts.client.key,
});

function settings(tls: Env): Env {
  return {
    DATABASE_URL: database.url,
    PAYMENT_GATEWAY_URL: sandbox.url,
    CARRIER_URL: sandbox.url,
    CARRIER_CALLBACK_SECRET: callbackSecret,
    EVENKEEL_HTTP_PORT: String(port),
    EVENKEEL_METRICS_PORT: '0',
    EVENKEEL_SHED_AGE_MS: '60000',
    ...tls,
  };
}

const addressed = (tls: Env): Env =>
  settings({ TEMPORAL_ADDRESS: temporal.address, TEMPORAL_NAMESPACE: temporal.namespace, ...tls });

function program(words: readonly string[], env: Env): Program {
  const made = new Program(words, env);
  onTestFinished(async () => void (await made.end('SIGKILL')));
  return made;
}

/** What `evenkeel worker` says at its end, which must be soon and by itself. */
async function refusal(env: Env): Promise<string> {
  const worker = program(['worker'], env);
  await worker.start();
  expect(await worker.exited()).toBe(1);
  return worker.stderr.join('\n');
}

/** A configuration file with that profile in it. */
async function profileFile(text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'evenkeel-profile-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, 'temporal.toml');
  await writeFile(file, text);
  return file;
}

async function request(method: string, path: string, key: string, body?: unknown): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'idempotency-key': newKey() },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(20_000),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

async function ordered(): Promise<OrderView> {
  const key = await adminKey(database.url);
  await request('PUT', '/v1/catalog/LANTERN', key, { description: 'a', priceMinor: 1_000, currency: 'GBP' });
  await request('PUT', '/v1/stock/LANTERN', key, { onHand: 100 });
  const { id } = (await request('POST', '/v1/orders', key, newOrder())) as OrderView;
  const look = async () => (await request('GET', `/v1/orders/${id}`, key)) as OrderView;
  await waitFor(`order ${id} is at its end`, async () => isTerminal((await look()).status), 60_000, look);
  return look();
}

async function makeSearchAttributes(): Promise<void> {
  const config = requirePeers(readConfig({ ...addressed(withCertificate()) }));
  const { client, namespace, close } = await connectTemporal(config, 'client', {});
  try {
    await ensureSearchAttributes(client, namespace);
  } finally {
    await close();
  }
}

test('an order goes its way over mutual TLS, the API on a profile and the worker on variables', async () => {
  await makeSearchAttributes();
  const file = await profileFile(`
    [profile.shop]
    address = "${temporal.address}"
    namespace = "${temporal.namespace}"
    [profile.shop.tls]
    server_ca_cert_path = "${ours.ca}"
    client_cert_path = "${parts.client.cert}"
    client_key_path = "${parts.client.key}"
  `);
  const api = program(['api'], settings({ TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'shop' }));
  const worker = program(['worker'], addressed(withCertificate()));
  await Promise.all([api.start('evenkeel api listens'), worker.start('evenkeel worker runs')]);
  expect((await ordered()).status).toBe('completed');
});

test('`start` goes to the Temporal of a profile, and brings none of its own', async () => {
  await makeSearchAttributes();
  const file = await profileFile(`
    [profile.default]
    address = "${temporal.address}"
    namespace = "${temporal.namespace}"
    tls = { server_ca_cert_path = "${ours.ca}", client_cert_path = "${parts.client.cert}", client_key_path = "${parts.client.key}" }
  `);
  const dataDir = await mkdtemp(join(tmpdir(), 'evenkeel-start-'));
  onTestFinished(() => rm(dataDir, { recursive: true }));
  const env = settings({ TEMPORAL_CONFIG_FILE: file, EVENKEEL_DATA_DIR: dataDir, TEMPORAL_CLI_PATH: '/bin/false' });
  const start = program(['start', '--no-samples'], env);
  await start.start('Ctrl-C stops everything');
  expect(start.stdout.join('\n')).not.toMatch(/Temporal UI/);
  expect((await ordered()).status).toBe('completed');
});

test.each([
  ['without TLS', (): Env => ({}), /speaks TLS only: set TEMPORAL_TLS=true/],
  [
    'without a certificate',
    (): Env => ({ TEMPORAL_TLS_SERVER_CA_CERT_PATH: ours.ca }),
    /asks for a client certificate/,
  ],
  [
    'with a certificate by another authority',
    (): Env => {
      const { cert, key } = another.issue('client');
      return { ...withCertificate(), TEMPORAL_TLS_CLIENT_CERT_PATH: cert, TEMPORAL_TLS_CLIENT_KEY_PATH: key };
    },
    /refuses our client certificate \(tlsv1 alert unknown ca\)/,
  ],
  [
    'that trusts another authority',
    (): Env => ({ ...withCertificate(), TEMPORAL_TLS_SERVER_CA_CERT_PATH: another.ca }),
    /its certificate is not by the authority in TEMPORAL_TLS_SERVER_CA_CERT_PATH/,
  ],
  [
    'that expects another name',
    (): Env => ({ ...withCertificate(), TEMPORAL_TLS_SERVER_NAME: 'temporal.example.com' }),
    /its certificate is for another name/,
  ],
])('a worker %s is refused, and says why', async (_, tls, why) => {
  const said = await refusal(addressed(tls()));
  expect(said).toMatch(new RegExp(`^evenkeel worker: Temporal at ${temporal.address}: `));
  expect(said).toMatch(why);
});

test('a Temporal without TLS is told from one that is away', async () => {
  const plain = { TEMPORAL_ADDRESS: inject('temporalAddress'), TEMPORAL_TLS: 'true' };
  expect(await refusal(addressed(plain))).toMatch(/it speaks no TLS/);
});

test('the certificate that ends first is found, whose it may be', async () => {
  const { cert, key } = ours.issue('short', 1);
  const tls = { ...withCertificate(), TEMPORAL_TLS_CLIENT_CERT_PATH: cert, TEMPORAL_TLS_CLIENT_KEY_PATH: key };
  const ends = async (env: Env): Promise<number> => {
    const { probe, close } = await connectTemporal(requirePeers(readConfig({ ...addressed(env) })), 'client', {});
    const found = await probe();
    await close();
    if (found === undefined || 'problem' in found) throw new Error(found?.problem ?? 'there is no TLS');
    return found.expiresAt.getTime();
  };
  expect((await ends(withCertificate())) - (await ends(tls))).toBeGreaterThan(23 * 3_600_000);
});
