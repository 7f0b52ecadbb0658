/** What can be said of docker-compose.yml without an engine that runs it. */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { readConfig, requirePeers } from '../../src/config.ts';
import { run } from '../../src/embedded/run.ts';
import { read } from '../support/compose-check.ts';
import { type ComposeService, ROOT, composeFile, isPassing, mountsOf, startOrder } from '../support/compose-file.ts';
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
    expect(read('docker-compose.yml')).not.toContain('${');
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
  test.each(all)('%s: its image is pinned to a version', (_, { image, build }) => {
    if (build === undefined) expect(image).toMatch(/:v?\d+\.\d+(?:\.\d+)?(?:-[\w.-]+)?$/);
    else expect(image).toBe('evenkeel:local');
    expect(image).not.toContain('auto-setup');
  });

  test.each(all)('%s: what is mounted is there', (_, service) => {
    for (const { source } of mountsOf(service)) {
      if (source.startsWith('./')) expect([source, existsSync(join(ROOT, source))]).toEqual([source, true]);
      else expect(Object.keys(volumes)).toContain(source);
    }
  });

  test.each(all)('%s: waits for what there is, and for the right thing', (_, { depends_on: others = {} }) => {
    for (const [name, { condition }] of Object.entries(others)) {
      const other = services[name];
      if (other === undefined) throw new Error(`there is no service ${name}`);
      if (isPassing(other)) expect([name, condition]).toEqual([name, 'service_completed_successfully']);
      else if (other.healthcheck) expect([name, condition]).toEqual([name, 'service_healthy']);
    }
  });

  test.each(all)('%s: has a health check, or ends and is waited for', (name, service) => {
    const waiting = all.filter(([, { depends_on: others = {} }]) => name in others);
    // `up --wait` takes the end of a service for a failure unless somebody waits for just that.
    if (isPassing(service)) expect(waiting).not.toEqual([]);
    // Images without a program to ask with are asked by a service that ends when they answer.
    else if (service.healthcheck === undefined) {
      const asked = waiting.filter(([, other]) => isPassing(other) && String(other.command).includes(`//${name}:`));
      expect(asked).toHaveLength(1);
    }
  });

  test('wait for each other in no circle', () => {
    expect(startOrder(services)).toHaveLength(all.length);
  });

  test('of which there may be several are bound to no name and no single port', () => {
    for (const name of ['api', 'worker']) {
      const { container_name: only, ports = [] } = services[name] as ComposeService;
      expect(only).toBeUndefined();
      for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\d+-\d+:\d+$/);
    }
  });

  test('are configured with settings that Evenkeel has, and can start with', () => {
    for (const name of ['api', 'worker', 'migrate']) {
      const { environment = {} } = services[name] as ComposeService;
      const secrets = Object.keys(environment).filter((variable) => variable.endsWith('_FILE'));
      expect(secrets).toContain('DATABASE_URL_FILE');
      const given = Object.fromEntries(Object.entries(environment).filter(([variable]) => !variable.endsWith('_FILE')));
      const config = readConfig({ ...given, DATABASE_URL: 'postgres://u:p@h:1/d' });
      expect(() => requirePeers(config)).not.toThrow();
      const known = Object.keys(config);
      expect(Object.keys(given).filter((variable) => !known.includes(variable))).toEqual([]);
    }
  });
});
