/** What stands in for the images of docker-compose.yml on this machine, and configuration with this machine's ports. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Client } from 'pg';
import { parse, stringify } from 'yaml';
import { preparePostgres, waitForPostgres } from '../../src/embedded/postgres.ts';
import { ROOT, composeFile } from './compose-file.ts';
import type { Instance, PlainStack, StandIn } from './compose-plain.ts';
import { PlainProcess } from './compose-process.ts';
import type { TemporalServer } from './compose-tool.ts';

export interface Programs {
  readonly temporal: TemporalServer;
  readonly temporalCli: string;
  readonly rabbitmq: string;
  readonly prometheus: string;
  readonly alertmanager: string;
}

/**
 * All services but those without a program here (the Web UI of Temporal, the mail catcher, Grafana, the collector and
 * Jaeger with what waits for them).
 */
export function standIns(stack: PlainStack, programs: Programs): Readonly<Record<string, StandIn>> {
  const evenkeel: StandIn = {
    // The sources that the image's JavaScript is compiled from.
    words: { node: process.execPath, 'dist/main.js': join(ROOT, 'src/main.ts') },
  };
  const folders = [programs.temporal.folder, dirname(programs.temporalCli), process.env['PATH'] ?? '/usr/bin:/bin'];
  const temporal: StandIn = { env: () => ({ PATH: folders.join(':') }) };
  return {
    secrets: {},
    postgres: { start: (instance) => startPostgres(stack, instance) },
    databases: evenkeel,
    'temporal-schema': {
      ...temporal,
      words: { '/etc/temporal/schema/postgresql/v12': programs.temporal.schemas },
    },
    temporal,
    'temporal-setup': temporal,
    rabbitmq: {
      words: { 'docker-entrypoint.sh': 'env', 'rabbitmq-server': programs.rabbitmq },
      env: (instance) => rabbitmqEnv(stack, instance),
      // The registry of Erlang's nodes, that a node starts as a daemon.
      beside: (instance) => ['epmd', '-port', String(instance.port(4369)), '-address', '127.0.0.1'],
    },
    sandbox: evenkeel,
    migrate: evenkeel,
    api: evenkeel,
    worker: evenkeel,
    ingress: evenkeel,
    prometheus: {
      program: programs.prometheus,
      args: (instance) => [`--web.listen-address=127.0.0.1:${instance.port(9090)}`],
    },
    alertmanager: {
      env: () => ({ ALERTMANAGER: programs.alertmanager }),
      args: (instance) => [`--web.listen-address=127.0.0.1:${instance.port(9093)}`],
    },
  };
}

/** Copies of the configuration that names ports or other services, with this machine's in their place. */
export function localConfiguration(stack: PlainStack): void {
  const temporal = copied(stack, './ops/temporal');
  const [server] = stack.instances('temporal');
  edit(join(temporal, 'server.yaml'), (text) =>
    text
      .replaceAll(/\b\d{4}$/gm, (port) => String(server?.port(Number(port)) ?? port))
      .replaceAll('bindOnIP: 0.0.0.0', 'bindOnIP: 127.0.0.1'),
  );
  const prometheus = copied(stack, './ops/prometheus');
  edit(join(prometheus, 'prometheus.yml'), (text) => prometheusConfig(stack, text));
}

interface ScrapeConfig {
  readonly job_name: string;
  readonly dns_sd_configs?: readonly { readonly names: readonly string[]; readonly port: number }[];
  readonly static_configs?: readonly { readonly targets: readonly string[] }[];
}

interface PrometheusConfig {
  readonly global: Readonly<Record<string, string>>;
  readonly alerting: { readonly alertmanagers: readonly Pick<ScrapeConfig, 'static_configs'>[] };
  readonly scrape_configs: readonly ScrapeConfig[];
}

/** Looked up by name there, and listed here; nothing else changes but how long a test has to wait. */
function prometheusConfig(stack: PlainStack, text: string): string {
  const config = parse(text) as PrometheusConfig;
  const [self] = stack.instances('prometheus');
  const target = (address: string): string => {
    const [host = '', port = ''] = address.split(':');
    return host === 'localhost' ? `127.0.0.1:${self?.port(Number(port))}` : stack.address(host, Number(port));
  };
  const listed = <T extends Pick<ScrapeConfig, 'static_configs'>>(group: T): T => ({
    ...group,
    ...(group.static_configs && {
      static_configs: group.static_configs.map(({ targets, ...rest }) => ({ ...rest, targets: targets.map(target) })),
    }),
  });
  const found = ({ dns_sd_configs: lookups, ...job }: ScrapeConfig): ScrapeConfig => ({
    ...listed(job),
    ...(lookups && {
      static_configs: lookups.flatMap(({ names, port }) =>
        names.map((name) => ({
          targets: stack.instances(name).map((instance) => `127.0.0.1:${instance.port(port)}`),
        })),
      ),
    }),
  });
  return stringify({
    ...config,
    global: { ...config.global, scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    alerting: { alertmanagers: config.alerting.alertmanagers.map(listed) },
    scrape_configs: config.scrape_configs.map(found),
  });
}

function copied(stack: PlainStack, source: string): string {
  const copy = join(stack.folder, 'copies', source);
  cpSync(join(ROOT, source), copy, { recursive: true });
  stack.replaceSource(source, copy);
  return copy;
}

function edit(file: string, change: (text: string) => string): void {
  writeFileSync(file, change(readFileSync(file, 'utf8')));
}

/** The embedded PostgreSQL, with the settings of the file, and then with the password of the secrets. */
async function startPostgres(stack: PlainStack, instance: Instance): Promise<PlainProcess> {
  const { command = [], environment = {} } = composeFile().services['postgres'] ?? {};
  const given = command.filter((_, index) => command[index - 1] === '-c').map((setting) => setting.split('='));
  const logFile = join(stack.folder, 'postgres.log');
  const signal = AbortSignal.timeout(120_000);
  const { part, urlOf } = await preparePostgres({
    dataDir: stack.folder,
    port: instance.port(5432),
    logFile,
    report: () => undefined,
    signal,
    settings: { ...(Object.fromEntries(given) as Record<string, string>), fsync: 'off', synchronous_commit: 'off' },
  });
  const process = new PlainProcess({ ...part, env: { ...part.env }, logFile });
  await waitForPostgres(urlOf('postgres'), signal);
  // The image does this with POSTGRES_PASSWORD_FILE.
  const password = readFileSync(instance.path(environment['POSTGRES_PASSWORD_FILE'] ?? ''), 'utf8').trim();
  const client = new Client({ connectionString: urlOf('postgres') });
  await client.connect();
  await client.query(`ALTER ROLE postgres PASSWORD ${client.escapeLiteral(password)}`);
  await client.end();
  return process;
}

/** What a container's network and file system keep apart by themselves. */
function rabbitmqEnv(stack: PlainStack, instance: Instance): Readonly<Record<string, string>> {
  const own = join(stack.folder, 'rabbitmq');
  mkdirSync(own, { recursive: true });
  return {
    RABBITMQ_NODENAME: `compose-${instance.port(5672)}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_NODE_PORT: String(instance.port(5672)),
    RABBITMQ_DIST_PORT: String(instance.port(25_672)),
    ERL_EPMD_PORT: String(instance.port(4369)),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_MNESIA_BASE: join(own, 'mnesia'),
    RABBITMQ_LOG_BASE: join(own, 'log'),
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_ENABLED_PLUGINS_FILE: join(own, 'enabled_plugins'),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      '-start_epmd false -kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none',
    RUNNING_UNDER_SYSTEMD: 'true',
  };
}
