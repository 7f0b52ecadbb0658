/** Each file of the stack, of its image and of CI, checked by its own tool. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { orderAttentionKey, orderStatusKey } from '../../src/workflows/contract.ts';
import { check, filesIn, read } from '../support/compose-check.ts';
import { ROOT, composeFile } from '../support/compose-file.ts';
import { BUILD_TIMEOUT_MS, findActionlint, findCollector, findTemporalServer } from '../support/compose-tool.ts';

const all = Object.entries(composeFile().services);

describe('what is mounted passes its own check', () => {
  const collector = 'ops/collector/collector.yaml';

  test.each(filesIn('ops', '.sh'))('%s', async (file) => {
    for (const shell of ['sh', 'bash']) expect(await check(shell, ['-n', file])).toMatchObject({ faults: '' });
  });

  test(
    'the configuration of the collector',
    async () => {
      expect(await check(await findCollector(), ['validate', `--config=${collector}`])).toMatchObject({ faults: '' });
    },
    BUILD_TIMEOUT_MS,
  );

  test(
    "Temporal's configurations",
    async () => {
      const { folder } = await findTemporalServer();
      const server = join(folder, 'temporal-server');
      const dynamic = await check(server, ['validate-dynamic-config', 'ops/temporal/dynamic-config.yaml']);
      // A name that it does not know is a warning to it.
      expect(dynamic).toEqual({ faults: '', stdout: expect.not.stringMatching(/warning|error/) as string });
      const env = { TEMPORAL_SQL_PASSWORD: 'of-the-file', TEMPORAL_SQL_ADDRESS: 'postgres:5432' };
      const { faults, stdout } = await check(
        server,
        ['--config', 'ops/temporal', '--env', 'server', 'render-config'],
        env,
      );
      expect(faults).toBe('');
      expect(stdout).toContain('numHistoryShards: 128');
      expect(stdout).toContain('postgres:5432');
    },
    BUILD_TIMEOUT_MS,
  );

  test("Jaeger's configuration takes what the collector sends, and shows what it keeps", () => {
    const jaeger = parse(read('ops/jaeger/jaeger.yaml')) as {
      receivers: { otlp: { protocols: { http: { endpoint: string } } } };
      extensions: { jaeger_storage: { backends: object }; jaeger_query: { storage: { traces: string } } };
      exporters: { jaeger_storage_exporter: { trace_storage: string } };
    };
    const sender = parse(read(collector)) as { exporters: { otlp_http: { endpoint: string } } };
    expect(sender.exporters.otlp_http.endpoint).toBe('http://jaeger:4318');
    expect(jaeger.receivers.otlp.protocols.http.endpoint).toBe('0.0.0.0:4318');
    const backends = Object.keys(jaeger.extensions.jaeger_storage.backends);
    expect(backends).toEqual([jaeger.extensions.jaeger_query.storage.traces]);
    expect(backends).toEqual([jaeger.exporters.jaeger_storage_exporter.trace_storage]);
  });

  test('the search attributes are those that the workflows write', () => {
    const script = read('ops/temporal/setup.sh');
    const made = [...script.matchAll(/--name (\w+) --type (\w+)/g)].map(([, name, type]) => [name, type]);
    expect(made).toEqual([
      [orderStatusKey.name, 'Keyword'],
      [orderAttentionKey.name, 'Keyword'],
    ]);
  });
});

describe('the image', () => {
  const dockerfile = read('Dockerfile');

  test('copies nothing that is not there, or that is kept from it', () => {
    const kept = read('.dockerignore')
      .split('\n')
      .flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []));
    for (const path of kept) expect([path, existsSync(join(ROOT, path))]).toEqual([path, true]);
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths = '']) =>
      paths.split(' '),
    );
    for (const path of copied) {
      expect([path, kept.some((one) => one === path || one.startsWith(`${path}/`))]).toEqual([path, true]);
    }
  });

  test('runs Node of the version that everything is tested on, as nobody', () => {
    const { devDependencies } = JSON.parse(read('package.json')) as { devDependencies: { node: string } };
    expect(dockerfile).toContain(`node:${devDependencies.node}-`);
    expect(dockerfile).toMatch(/^USER [1-9]\d*:[1-9]\d*$/m);
  });

  test('has what its services run', () => {
    const own = all.filter(([, { build }]) => build !== undefined);
    const words = own.flatMap(([, { command = [], healthcheck }]) => [...command, ...(healthcheck?.test ?? [])]);
    const scripts = words.filter((word) => word.startsWith('ops/'));
    const kept = read('.dockerignore');
    expect(scripts).not.toEqual([]);
    for (const script of scripts) expect(kept).toContain(`!${script}\n`);
  });
});

describe('the workflows of CI', () => {
  test(
    'pass the check of their syntax and expressions',
    async () => {
      expect(
        await check(await findActionlint(), [
          '-no-color',
          '-shellcheck=',
          '-pyflakes=',
          ...filesIn('.github/workflows', '.yml'),
        ]),
      ).toMatchObject({
        faults: '',
      });
    },
    BUILD_TIMEOUT_MS,
  );

  test.each(filesIn('.github/workflows', '.yml'))('%s pins each action, and may do nothing by default', (file) => {
    const text = read(file);
    const used = [...text.matchAll(/uses: (\S+)(.*)$/gm)].filter(([, action = '']) => !action.startsWith('./'));
    for (const [, action, comment] of used)
      expect([action, comment]).toEqual([
        expect.stringMatching(/@[0-9a-f]{40}$/),
        expect.stringMatching(/^ # v\d+\.\d+\.\d+$/),
      ]);
    expect((parse(text) as { permissions: unknown }).permissions).toEqual({});
    expect(text).toContain('concurrency:');
  });
});
