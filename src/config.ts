import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { TemporalSettingsError, temporalProfile } from './adapters/temporal/profile.ts';
import { parseKeyRing } from './adapters/temporal/key-ring.ts';
import { parseNetwork } from './domain/ip-address.ts';

/**
 * Every setting, once: its environment variable, its type, its default and what it is for. The only reader of the
 * environment; `evenkeel help config` and docs/configuration.md are printed from it.
 */
const port = z.coerce.number().int().min(0).max(65_535);
const positive = z.coerce.number().int().positive();
const url = z.url();

const urls = z.string().transform((text, context) => {
  const list = text.split(',').map((one) => one.trim());
  const bad = list.filter((one) => !URL.canParse(one));
  if (bad.length > 0) context.addIssue(`'${bad.join("', '")}' is no URL`);
  return list;
});

/** As a browser names them in `Origin`: no path, no port that goes without saying. */
const origins = z.string().transform((text, context) => {
  const list = text.split(',').map((one) => one.trim());
  const bad = list.filter((one) => !URL.canParse(one) || new URL(one).origin !== one);
  if (bad.length > 0) context.addIssue(`'${bad.join("', '")}' is no origin such as https://temporal.example.com`);
  return list;
});

/** Read again where they are used; only checked here, so that a bad one stops the start. */
const payloadKeys = z.string().superRefine((text, context) => {
  try {
    parseKeyRing(text);
  } catch (error) {
    context.addIssue(error instanceof RangeError ? error.message : 'they cannot be read');
  }
});

/** Networks in CIDR form, separated by commas. */
const networks = z.string().transform((text, context) => {
  const list = text.split(',').map((network) => network.trim());
  const bad = list.filter((network) => !isNetwork(network));
  if (bad.length > 0) context.addIssue(`'${bad.join("', '")}' is no network in CIDR form such as 10.1.0.0/16`);
  return list;
});

/** By the parser that will read it again: what passes here fails nowhere. */
function isNetwork(text: string): boolean {
  try {
    parseNetwork(text);
    return true;
  } catch {
    return false;
  }
}

const schema = z.object({
  EVENKEEL_HTTP_HOST: z.string().default('127.0.0.1').describe('Address that the API listens on'),
  EVENKEEL_HTTP_PORT: port.default(8080).describe('Port that the API listens on'),
  DATABASE_URL: url
    .optional()
    .describe('PostgreSQL to use, postgres://user:password@host:port/database; `start` brings its own if absent'),
  EVENKEEL_DATABASE_POOL: positive.default(16).describe('PostgreSQL connections per process at most'),
  TEMPORAL_ADDRESS: z.string().optional().describe('Temporal to use, host:port; `start` brings its own if absent'),
  TEMPORAL_NAMESPACE: z.string().default('default').describe('Temporal namespace'),
  EVENKEEL_TEMPORAL_PORT: port.default(7233).describe('Port for the Temporal server that `start` brings'),
  EVENKEEL_TEMPORAL_UI_PORT: port.default(8233).describe('Port for the Temporal Web UI that `start` brings'),
  TEMPORAL_CLI_PATH: z.string().optional().describe('Temporal executable to use instead of looking for one'),
  PAYMENT_GATEWAY_URL: url
    .optional()
    .describe('Base URL of the payment gateway; `start` brings a pretend one if absent'),
  CARRIER_URL: url.optional().describe('Base URL of the carrier; `start` brings a pretend one if absent'),
  CARRIER_CALLBACK_SECRET: z
    .string()
    .min(16)
    .optional()
    .describe(
      'Secret that the carrier signs its callbacks with, at least 16 characters; without it callbacks are refused',
    ),
  EVENKEEL_DATA_DIR: z.string().default('.evenkeel').describe('Where the parts that `start` brings keep their data'),
  EVENKEEL_LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
    .default('info')
    .describe('Log level'),
  EVENKEEL_METRICS_HOST: z
    .string()
    .default('127.0.0.1')
    .describe(
      'Address that metrics are served on, at /metrics; apart from the API, so that the internet cannot read them',
    ),
  EVENKEEL_METRICS_PORT: port
    .optional()
    .describe(
      'Port that metrics are served on; if absent 9464 or, where that is taken, a free one, which the log names',
    ),
  EVENKEEL_SDK_METRICS_PORT: port
    .default(0)
    .describe("Port that a worker serves the metrics of Temporal's SDK on, at the same address; 0 serves none"),
  EVENKEEL_SLO_DIR: z
    .string()
    .optional()
    .describe('Folder with the objectives, as OpenSLO files; the ones that come with the program if absent'),
  EVENKEEL_STORE_LIMIT_GIB: z.coerce
    .number()
    .positive()
    .optional()
    .describe('Size that the database may grow to, in GiB: alerts tell in time'),
  OTEL_EXPORTER_OTLP_ENDPOINT: url
    .optional()
    .describe('Where traces go, by OTLP over HTTP: http://127.0.0.1:4318; without it none are recorded'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe('Share of traces that are recorded, from 0 to 1; those that go on from a recorded one always are'),
  EVENKEEL_REVIEW_ABOVE_MINOR: positive
    .default(500_000)
    .describe('Orders above this total, in minor units, wait for a risk review'),
  EVENKEEL_REVIEW_ORDERS_PER_HOUR: positive
    .default(1_000)
    .describe('More orders of one customer within an hour wait for a risk review'),
  EVENKEEL_DISPATCH_OVERDUE_HOURS: positive
    .default(30 * 24)
    .describe('A booked shipment not dispatched within this waits for a person'),
  EVENKEEL_DELIVERY_OVERDUE_HOURS: positive
    .default(30 * 24)
    .describe('A dispatched shipment not delivered within this waits for a person'),
  EVENKEEL_SWEEP_INTERVAL_MS: positive
    .default(2_000)
    .describe('How often the API looks for what Temporal was not told yet'),
  EVENKEEL_RECONCILE_IDLE_MS: positive
    .default(60_000)
    .describe('An order idle for this long is compared with its workflow'),
  EVENKEEL_DELIVERY_TIMEOUT_MS: positive
    .max(60_000)
    .default(15_000)
    .describe('A consumer that has not answered after this is counted as failed'),
  EVENKEEL_DELIVERY_MAX_ATTEMPTS: positive
    .default(10)
    .describe(
      'Failures that count against an event before it becomes a dead letter. With more than 6, no outage of its consumer makes it one',
    ),
  EVENKEEL_DELIVERY_BACKOFF_MS: positive
    .default(1_000)
    .describe('Wait after the first failed attempt; each further one waits four times as long, up to 6 hours'),
  EVENKEEL_DELIVERY_CONCURRENCY: positive.default(512).describe('Events that a worker sends at a time'),
  EVENKEEL_CONSUMER_GIVE_UP_HOURS: positive
    .default(72)
    .describe(
      'A consumer that fails for this long without a success is disabled until a person enables it; its events are held',
    ),
  EVENKEEL_WEBHOOK_NETWORKS: networks
    .default([])
    .describe(
      'Networks that webhooks may go to beside the public internet, over http and any port too: 10.1.0.0/16,::1/128; `start` adds loopback',
    ),
  AMQP_URL: z
    .url({ protocol: /^amqps?$/ })
    .optional()
    .describe('RabbitMQ for consumers over AMQP and for orders from a queue, amqp://user:password@host:port/vhost'),
  EVENKEEL_AMQP_CA_FILE: z
    .string()
    .optional()
    .describe('File of the authority that the certificate of an amqps: broker is by'),
  EVENKEEL_AMQP_CERT_FILE: z
    .string()
    .optional()
    .describe('File of our certificate, for an amqps: broker that asks for one'),
  EVENKEEL_AMQP_KEY_FILE: z.string().optional().describe('File of the key of that certificate'),
  EVENKEEL_AMQP_MAX_RETRIES: z.coerce
    .number()
    .int()
    .min(0)
    .default(5)
    .describe('Tries of an order message after the first; then it goes to the dead-letter queue'),
  EVENKEEL_AMQP_PREFETCH: positive
    .max(65_535)
    .default(20)
    .describe('Order messages under way at a time, per API process'),
  EVENKEEL_MAX_CONCURRENT_STEPS: positive.default(50).describe('Steps that a worker runs at a time'),
  EVENKEEL_PROVIDER_CONCURRENCY: positive
    .default(20)
    .describe(
      'Calls of one provider that a process runs at a time; fewer than the steps, so that one that hangs leaves room',
    ),
  PAYMENT_GATEWAY_FALLBACK_URLS: urls
    .default([])
    .describe('Base URLs of payment gateways to use, in this order, for what the first is known not to have charged'),
  RISK_URL: url
    .optional()
    .describe('Base URL of a risk service to ask about each order; while it does not answer, orders wait for a review'),
  SMTP_URL: z
    .url({ protocol: /^smtps?$/ })
    .optional()
    .describe('Mail server, smtp://user:password@host:port, for consumers of kind mail'),
  EVENKEEL_MAIL_FROM: z.string().default('shop@localhost').describe('Sender of mails'),
  EVENKEEL_MIGRATION_DATABASE_URL: url
    .optional()
    .describe(
      'PostgreSQL as the owner of the schema, for `migrate` alone; then DATABASE_URL may name a role that cannot change the audit log. DATABASE_URL if absent',
    ),
  EVENKEEL_API_KEY: z
    .string()
    .optional()
    .describe('API key that commands send; without it that of `start`, on this machine'),
  EVENKEEL_OIDC_ISSUER: url.optional().describe('Issuer of tokens (JWT) to accept beside API keys, as in their `iss`'),
  EVENKEEL_OIDC_AUDIENCE: z.string().optional().describe('What tokens must name in `aud`; needed with an issuer'),
  EVENKEEL_OIDC_JWKS_URL: url.optional().describe("The issuer's keys; found by its discovery document if absent"),
  EVENKEEL_OIDC_ROLES_CLAIM: z.string().default('roles').describe('Claim of a token that lists roles'),
  EVENKEEL_OIDC_CUSTOMER_CLAIM: z
    .string()
    .default('customer_id')
    .describe("Claim of a customer's own token that names the customer"),
  EVENKEEL_RATE_LIMIT_PER_SECOND: positive
    .default(500)
    .describe('Requests of one caller a second, over all API processes'),
  EVENKEEL_RATE_LIMIT_BURST: positive.default(1_000).describe('Requests that a caller may have saved up'),
  EVENKEEL_SHED_AGE_MS: positive
    .default(1_000)
    .describe('Orders that wait longer than this for their turn make the API refuse new ones until they do not'),
  EVENKEEL_DRAIN_MS: positive
    .default(25_000)
    .describe('How long a process that is told to stop lets requests and steps in flight finish'),
  EVENKEEL_DRAIN_ANNOUNCE_MS: z.coerce
    .number()
    .int()
    .min(0)
    .default(1_000)
    .describe(
      'How long of that the API goes on accepting while /readyz says that it stops: longer than a balancer takes to notice',
    ),
  EVENKEEL_PAYLOAD_KEYS: payloadKeys
    .optional()
    .describe(
      'Keys that encrypt what Temporal keeps, id: and 32 bytes in base64 or hex, separated by commas: the first encrypts, all decrypt; without it nothing is encrypted',
    ),
  EVENKEEL_CODEC_ORIGINS: origins
    .default([])
    .describe(
      'Origins of the Temporal Web UI that may have payloads decoded, separated by commas: https://temporal.example.com',
    ),
});

type Settings = z.output<typeof schema>;

export interface Config extends Readonly<Settings> {
  /**
   * All TEMPORAL_* variables as they are, but for those read from files: TLS, API key and profile are read by Temporal's
   * own rules. Where they name no server these are nobody's, and not for the one that `start` brings.
   */
  readonly temporalEnv: Readonly<Record<string, string>>;
}

/** The settings that `start` can bring by itself; without it they must be there. */
const brought = ['DATABASE_URL', 'TEMPORAL_ADDRESS', 'PAYMENT_GATEWAY_URL', 'CARRIER_URL'] as const;
export type WiredConfig = Config & Readonly<Record<(typeof brought)[number], string>>;

/** Makes sure that every peer is configured. Throws `ConfigError` that names the missing ones. */
export function requirePeers(config: Config): WiredConfig {
  const missing = brought.filter((name) => config[name] === undefined);
  if (missing.length > 0) {
    throw new ConfigError(`set ${missing.join(', ')}, or use 'evenkeel start', which brings what is missing.`);
  }
  return config as WiredConfig;
}

/** A URL's user and password, whether or not the rest of it can be read. */
const userinfo = /\/\/[^/\s"',]*@/g;

/** Thrown for settings that cannot be used; names each with its value's problem. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * Reads and checks all settings. An empty variable counts as absent. `NAME_FILE` names a file that holds the value of
 * `NAME`, as secrets are handed to containers. Throws `ConfigError` that names every bad one, and shows no secret.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const variables = Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined || value === '' ? [] : [[name, value]])),
  );
  const { values, files, problems } = withFiles(variables);
  const parsed = schema.safeParse(values);
  const unusable = (parsed.error?.issues ?? []).map((issue) => {
    const name = issue.path.join('.');
    const file = files[name];
    // What we check ourselves quotes the value; what zod checks does not.
    if (file !== undefined) {
      return `  ${name}_FILE=${file}: ${issue.code === 'custom' ? 'it holds no usable value' : issue.message}`;
    }
    const secret = /SECRET|DATABASE_URL|AMQP_URL|SMTP_URL|API_KEY|PAYLOAD_KEYS/.test(name);
    return `  ${name}${secret ? '' : `=${JSON.stringify(values[name])}`}: ${issue.message}`;
  });
  const temporal = temporalOf(values);
  if ('problem' in temporal) problems.push(`  ${temporal.problem}`);
  else if (parsed.success && problems.length === 0) return Object.freeze({ ...parsed.data, ...temporal });
  const all = [...problems, ...unusable].join('\n').replace(userinfo, '//…@');
  throw new ConfigError(`these settings cannot be used:\n${all}\nSee 'evenkeel help config'.`);
}

/** The only secret that is Temporal's to read and not ours. */
const FROM_FILES = [...Object.keys(schema.shape), 'TEMPORAL_API_KEY'];

/** Its address may stand in a profile. What is said without one is for no server, but for the namespace. */
function temporalOf(
  values: Readonly<Record<string, string>>,
): Pick<Config, 'temporalEnv' | 'TEMPORAL_ADDRESS'> | { readonly problem: string } {
  const asked = Object.entries(values).filter(([name]) => name.startsWith('TEMPORAL_'));
  // A profile that was asked for is looked up where Temporal's own tools keep it; none is taken that was not.
  const homes = ['HOME', 'XDG_CONFIG_HOME', 'APPDATA'].map((name) => [name, values[name]]);
  const places = values['TEMPORAL_PROFILE'] === undefined ? [] : homes.filter(([, value]) => value !== undefined);
  const temporalEnv = Object.fromEntries([...asked, ...places]) as Record<string, string>;
  try {
    const { address } = temporalProfile(temporalEnv);
    if (address !== undefined) return { temporalEnv, TEMPORAL_ADDRESS: address };
  } catch (error) {
    if (error instanceof TemporalSettingsError) return { problem: error.message };
    throw error;
  }
  const { TEMPORAL_NAMESPACE: namespace } = temporalEnv;
  return { temporalEnv: namespace === undefined ? {} : { TEMPORAL_NAMESPACE: namespace }, TEMPORAL_ADDRESS: undefined };
}

interface FromFiles {
  readonly values: Readonly<Record<string, string>>;
  /** Which setting came from which file. */
  readonly files: Readonly<Record<string, string>>;
  readonly problems: string[];
}

function withFiles(variables: Readonly<Record<string, string>>): FromFiles {
  const values = { ...variables };
  const files: Record<string, string> = {};
  const problems: string[] = [];
  for (const name of FROM_FILES) {
    const file = variables[`${name}_FILE`];
    if (file === undefined) continue;
    delete values[`${name}_FILE`];
    if (variables[name] !== undefined) problems.push(`  ${name} and ${name}_FILE: set one of them`);
    else {
      files[name] = file;
      const content = contentOf(file);
      if ('problem' in content) problems.push(`  ${name}_FILE=${file}: ${content.problem}`);
      else values[name] = content.value;
    }
  }
  return { values, files, problems };
}

function contentOf(file: string): { readonly value: string } | { readonly problem: string } {
  try {
    // Editors and `echo` end a file with a line break that is not meant.
    const value = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    return value === '' ? { problem: 'the file is empty' } : { value };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    return { problem: `the file cannot be read${code}` };
  }
}

/** Name, default and meaning of every setting, for `--help` and the documentation. */
export function describeConfig(): readonly { name: string; fallback: string; meaning: string }[] {
  return Object.entries(schema.shape).map(([name, type]) => ({
    name,
    fallback: type instanceof z.ZodDefault ? String(type.def.defaultValue) : '',
    meaning: type.description ?? '',
  }));
}
