/** What can be said of docker-compose.yml without an engine that runs it. */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { readConfig, requirePeers } from '../../src/config.ts';
import { run } from '../../src/embedded/run.ts';
import { read } from '../support/compose-check.ts';
import {
  type ComposeService,
  type Condition,
  ROOT,
  composeFile,
  isPassing,
  mountsOf,
  startOrder,
} from '../support/compose-file.ts';
import { BUILD_TIMEOUT_MS, findCompose } from '../support/compose-tool.ts';

const { services, volumes } = composeFile();
const all = Object.entries(services);

describe('docker compose', () => {
  interface Resolved {
    readonly services: Readonly<
      Record<string, { ports?: { host_ip?: string; published?: string }[]; mem_limit?: string }>
    >;
  }
  let resolved: Resolved;

  beforeAll(async () => {
    const [command = '', ...words] = await findCompose();
    // No variable of whoever runs the tests may be needed, or matter.
    const env = { PATH: process.env['PATH'], HOME: tmpdir() };
    const { code, stdout, output } = await run(command, [...words, 'config', '--format', 'json'], { cwd: ROOT, env });
    if (code !== 0) throw new Error(output);
    resolved = JSON.parse(stdout) as Resolved;
  }, BUILD_TIMEOUT_MS);

  test('reads the file, without a variable being set', () => {
    expect(Object.keys(resolved.services).toSorted()).toEqual(Object.keys(services).toSorted());
    const variables = read('docker-compose.yml').matchAll(/\$\{[^}]*\}/g);
    expect([...variables].flat()).toEqual([
      '${EVENKEEL_IMAGE:-evenkeel:local}',
      '${EVENKEEL_APIS:-1}',
      '${EVENKEEL_WORKERS:-2}',
    ]);
  });

  test('publishes ports on loopback only', () => {
    const published = Object.values(resolved.services).flatMap(({ ports = [] }) => ports);
    expect(published.length).toBeGreaterThan(5);
    expect(published.map(({ host_ip: address }) => address)).toEqual(published.map(() => '127.0.0.1'));
  });

  test('gives no two services the same port of the machine', () => {
    const taken = Object.values(resolved.services).flatMap(({ ports = [] }) =>
      ports.flatMap(({ published = '' }) => {
        const [first = 0, last = first] = published.split('-').map(Number);
        return Array.from({ length: last - first + 1 }, (_, index) => first + index);
      }),
    );
    expect(taken).toEqual([...new Set(taken)]);
  });

  test('bounds the memory of each service', () => {
    const unbounded = Object.entries(resolved.services).filter(([, { mem_limit: limit }]) => limit === undefined);
    expect(unbounded.map(([name]) => name)).toEqual([]);
  });
});

describe('the services', () => {
  /** Of the services for which `is` holds, the names. */
  const thoseThat = (is: (service: ComposeService, name: string) => boolean): string[] =>
    all.flatMap(([name, service]) => (is(service, name) ? [name] : []));

  test('have images that are pinned to a version, or are built here', () => {
    const isPinned = ({ image, build }: ComposeService): boolean =>
      build === undefined ? /:v?\d+\.\d+(?:\.\d+)?(?:-[\w.-]+)?$/.test(image) : image === 'evenkeel:local';
    expect(thoseThat((service) => !isPinned(service))).toEqual([]);
    // Not for production, and deprecated.
    expect(thoseThat(({ image }) => image.includes('auto-setup'))).toEqual([]);
  });

  test('mount what is there', () => {
    const exists = (source: string): boolean =>
      source.startsWith('./') ? existsSync(join(ROOT, source)) : Object.hasOwn(volumes, source);
    const missing = all.flatMap(([, service]) => mountsOf(service).filter(({ source }) => !exists(source)));
    expect(missing).toEqual([]);
    const used = new Set(all.flatMap(([, service]) => mountsOf(service).map(({ source }) => source)));
    expect(Object.keys(volumes).filter((volume) => !used.has(volume))).toEqual([]);
  });

  test('wait for the end of what ends, and for the health of what has a check', () => {
    const rightFor = (name: string): Condition => {
      const other = services[name];
      if (other === undefined) throw new Error(`there is no service ${name}`);
      if (isPassing(other)) return 'service_completed_successfully';
      return other.healthcheck ? 'service_healthy' : 'service_started';
    };
    const waits = all.flatMap(([name, { depends_on: others = {} }]) =>
      Object.entries(others).map(([other, { condition }]) => ({ name, other, condition })),
    );
    expect(waits.filter(({ other, condition }) => condition !== rightFor(other))).toEqual([]);
  });

  test('have a health check, or end and are waited for', () => {
    const waitingFor = (name: string): ComposeService[] =>
      all.flatMap(([, service]) => (name in (service.depends_on ?? {}) ? [service] : []));
    // `up --wait` takes the end of a service for a failure unless somebody waits for just that.
    expect(thoseThat((service, name) => isPassing(service) && waitingFor(name).length === 0)).toEqual([]);
    // Images without a program to ask with are asked by a service that ends when they answer.
    const isAsked = (name: string): boolean =>
      waitingFor(name).some((other) => isPassing(other) && String(other.command).includes(`//${name}:`));
    const unknown = thoseThat((service, name) => !isPassing(service) && !service.healthcheck && !isAsked(name));
    expect(unknown).toEqual([]);
  });

  test('wait for each other in no circle', () => {
    expect(startOrder(services)).toHaveLength(all.length);
  });

  test('of which there may be several are bound to no name and no port', () => {
    for (const name of ['api', 'worker']) {
      const { container_name: only, ports } = services[name] as ComposeService;
      // Of a range of ports an engine takes the next at each start, and none keeps its address.
      expect([only, ports]).toEqual([undefined, undefined]);
    }
  });

  test('are configured with settings that Evenkeel has, and can start with', () => {
    for (const name of ['api', 'worker', 'migrate']) {
      const { environment = {} } = services[name] as ComposeService;
      const secrets = Object.keys(environment).filter((variable) => variable.endsWith('_FILE'));
      // The owner's password is where it is needed, and nowhere else: the application cannot change its audit log.
      expect(secrets.filter((variable) => variable.includes('DATABASE_URL'))).toEqual([
        name === 'migrate' ? 'EVENKEEL_MIGRATION_DATABASE_URL_FILE' : 'DATABASE_URL_FILE',
      ]);
      const given = Object.fromEntries(Object.entries(environment).filter(([variable]) => !variable.endsWith('_FILE')));
      const config = readConfig({ ...given, DATABASE_URL: 'postgres://u:p@h:1/d' });
      expect(() => requirePeers(config)).not.toThrow();
      const known = Object.keys(config);
      expect(Object.keys(given).filter((variable) => !known.includes(variable))).toEqual([]);
    }
  });
});
