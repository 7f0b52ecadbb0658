import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { migrate } from '../adapters/postgres/migrate.ts';
import { grantApplication } from '../adapters/postgres/roles.ts';
import { ensureSearchAttributes } from '../adapters/temporal/search-attributes.ts';
import { ensureUpkeepSchedule } from '../adapters/temporal/upkeep-schedule.ts';
import { UPKEEP_SCHEDULE_EVERY_MS } from '../app.ts';
import { type Config, readConfig, requirePeers } from '../config.ts';
import { ensureApplicationLogin } from '../embedded/application-login.ts';
import { ensureDevKey } from '../embedded/dev-key.ts';
import { type Parts, startParts } from '../embedded/start-parts.ts';
import { claimPort } from '../embedded/ports.ts';
import { submitSamples } from '../samples.ts';
import { startApi } from '../run-api.ts';
import { startWorker } from '../run-worker.ts';
import { createLogger } from '../telemetry/log.ts';
import { type RunningApp, sdkMetricsOf, withApp } from '../with-app.ts';
import { installRuntime } from '../workers/worker.ts';
import { type CommandIo, type Run, UsageError } from './command.ts';

const HELP = `usage: evenkeel start [--no-samples]

Runs Evenkeel on this machine: the API and a worker in this process, and beside it whatever is not configured of
PostgreSQL (DATABASE_URL), Temporal (TEMPORAL_ADDRESS), and a pretend payment gateway and carrier
(PAYMENT_GATEWAY_URL, CARRIER_URL). Data lies in .evenkeel (EVENKEEL_DATA_DIR) and is there again at the next start.

  --no-samples   do not fill an empty store with a sample catalogue and sample orders

All settings: evenkeel help config
`;

/** `evenkeel start`: resolves once everything it started has stopped. */
export const run: Run = async (args, io) => {
  const words = parse(args);
  if (words.help) {
    io.stdout.write(HELP);
    return 0;
  }
  const say = (line: string): void => void io.stdout.write(`${line}\n`);
  const config = await withPorts(readConfig(io.env));
  const secret = config.CARRIER_CALLBACK_SECRET ?? randomBytes(24).toString('base64url');
  let parts: Parts;
  try {
    parts = await startParts(partsFor(config, secret, io, say));
  } catch (error) {
    if (io.signal.aborted) return 130;
    throw error;
  }
  try {
    const owner = config.EVENKEEL_MIGRATION_DATABASE_URL ?? config.DATABASE_URL ?? parts.databaseUrl;
    if (owner !== undefined) await prepareDatabase(owner, io);
    // What PostgreSQL would refuse in production it refuses here too.
    const ownLogin = parts.databaseUrl === undefined ? undefined : await ensureApplicationLogin(parts.databaseUrl);
    const wired = requirePeers({
      ...config,
      CARRIER_CALLBACK_SECRET: secret,
      DATABASE_URL: config.DATABASE_URL ?? ownLogin,
      TEMPORAL_ADDRESS: config.TEMPORAL_ADDRESS ?? parts.temporalAddress,
      PAYMENT_GATEWAY_URL: config.PAYMENT_GATEWAY_URL ?? parts.sandboxUrl,
      CARRIER_URL: config.CARRIER_URL ?? parts.sandboxUrl,
      // Whoever tries it on a laptop has the consumer there too.
      EVENKEEL_WEBHOOK_NETWORKS: [...config.EVENKEEL_WEBHOOK_NETWORKS, '127.0.0.0/8', '::1/128'],
    });
    const logFile = join(config.EVENKEEL_DATA_DIR, 'logs', 'evenkeel.log');
    const log = createLogger(config.EVENKEEL_LOG_LEVEL, createWriteStream(logFile, { flags: 'a' }));
    installRuntime(log, sdkMetricsOf(wired));
    await withApp(wired, log, 'all', async (app) => {
      const { client, namespace } = app.temporal;
      await ensureSearchAttributes(client, namespace);
      await ensureUpkeepSchedule(client, UPKEEP_SCHEDULE_EVERY_MS);
      const key = await ensureDevKey(config.EVENKEEL_DATA_DIR, app.apiKeys);
      await Promise.race([serve(app, parts, { samples: words.samples, logFile, key }, io, say), parts.failed]);
    });
    return 0;
  } finally {
    await parts.stop();
    say('stopped');
  }
};

/** Runs API and worker until the signal fires, and both have drained. */
async function serve(
  app: RunningApp,
  parts: Parts,
  { samples, logFile, key }: { samples: boolean; logFile: string; key: string },
  io: CommandIo,
  say: (line: string) => void,
): Promise<void> {
  const worker = await startWorker(app, io.signal);
  const api = await startApi(app, io.signal);
  const isNew = await app.catalog.isEmpty();
  say('');
  say(`  API           ${api.url}   (documentation: ${api.url}/docs)`);
  if (parts.temporalUiUrl) say(`  Temporal UI   ${parts.temporalUiUrl}`);
  if (parts.databaseUrl) say(`  PostgreSQL    ${app.config.DATABASE_URL}`);
  if (parts.sandboxUrl) say(`  Sandbox       ${parts.sandboxUrl}   (pretend payment gateway and carrier)`);
  say(`  Metrics       ${app.metricsUrl}`);
  say(`  Log           ${logFile}`);
  say(`  API key       ${join(app.config.EVENKEEL_DATA_DIR, 'dev-key')}   (an admin's; 'evenkeel keys' makes others)`);
  if (samples && isNew) {
    const submitted = await submitSamples(api.url, io, { text: key, from: 'the key of this start' });
    say(`\nThe store was empty: ${submitted} sample orders are on their way. Look at them with 'npx evenkeel orders'.`);
  }
  say(`\nA first order:\n\n${firstOrder(api.url, app.config.EVENKEEL_DATA_DIR)}\n\nCtrl-C stops everything.`);
  const stopping = api.stopped.then(() => worker.stopped);
  io.signal.addEventListener('abort', () => say('\nstopping: finishing what is in flight'), { once: true });
  // A worker that ends by itself ends the whole.
  await Promise.race([stopping, worker.stopped.then(() => stopping)]);
}

async function prepareDatabase(ownerUrl: string, io: CommandIo): Promise<void> {
  await migrate(ownerUrl);
  for (const refused of await grantApplication(ownerUrl)) io.stderr.write(`${refused}\n`);
}

function firstOrder(url: string, dataDir: string): string {
  return `  curl -sS ${url}/v1/orders -H "Authorization: Bearer $(cat '${join(dataDir, 'dev-key')}')" \\
    -H 'Content-Type: application/json' -H "Idempotency-Key: first-$RANDOM" -d '{
    "customerId": "ada", "currency": "GBP",
    "items": [{"sku": "LANTERN-WHITE", "quantity": 2}],
    "payment": {"token": "tok_visa"},
    "shippingAddress": {"name": "Ada Lovelace", "line1": "12 St James Square", "city": "London", "postalCode": "SW1Y 4JH", "country": "GB"}
  }'`;
}

function parse(args: readonly string[]): { samples: boolean; help: boolean } {
  try {
    const { values } = parseArgs({
      args: [...args],
      allowNegative: true,
      options: { samples: { type: 'boolean', default: true }, help: { type: 'boolean', short: 'h', default: false } },
    });
    return values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** The carrier must know where to call back before the API listens, so its port is chosen, and found free, now. */
async function withPorts(config: Config): Promise<Config> {
  return { ...config, EVENKEEL_HTTP_PORT: await claimPort(config.EVENKEEL_HTTP_PORT, 'the API', 'EVENKEEL_HTTP_PORT') };
}

function partsFor(
  config: Config,
  secret: string,
  io: CommandIo,
  say: (line: string) => void,
): Parameters<typeof startParts>[0] {
  const host = config.EVENKEEL_HTTP_HOST === '0.0.0.0' ? '127.0.0.1' : config.EVENKEEL_HTTP_HOST;
  const callbackUrl = `http://${host}:${config.EVENKEEL_HTTP_PORT}/v1/callbacks/carrier`;
  const main = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../main.ts' : '../main.js', import.meta.url));
  return {
    dataDir: config.EVENKEEL_DATA_DIR,
    env: io.env,
    report: say,
    signal: io.signal,
    ...(config.DATABASE_URL === undefined ? { postgres: { database: 'evenkeel' } } : {}),
    ...(config.TEMPORAL_ADDRESS === undefined
      ? {
          temporal: {
            port: config.EVENKEEL_TEMPORAL_PORT,
            uiPort: config.EVENKEEL_TEMPORAL_UI_PORT,
            namespace: config.TEMPORAL_NAMESPACE,
          },
        }
      : {}),
    ...(config.PAYMENT_GATEWAY_URL === undefined || config.CARRIER_URL === undefined
      ? {
          sandbox: {
            command: (port) => ({
              command: process.execPath,
              args: [
                main,
                'sandbox',
                '--port',
                String(port),
                '--data',
                join(config.EVENKEEL_DATA_DIR, 'sandbox'),
                '--callback-url',
                callbackUrl,
              ],
              // Not among the words, which every user of the machine can read.
              env: { CARRIER_CALLBACK_SECRET: secret },
            }),
          },
        }
      : {}),
  };
}
