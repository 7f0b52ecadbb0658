/** Programs that only the tests of the compose stack need: found on PATH or in the cache, else built once by Go. */
import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheRoot, fillCache, isExecutable } from '../../src/embedded/cache.ts';
import { findByFirst } from '../../src/embedded/finding.ts';
import { run } from '../../src/embedded/run.ts';

/** How long a build may take on a small, busy machine. */
export const BUILD_TIMEOUT_MS = 900_000;

interface GoTool {
  /** Of the folder in the cache; with the version, so that another one is built anew. */
  readonly name: string;
  readonly version: string;
  /** What must be in that folder when it is built. */
  readonly programs: readonly string[];
  /** Builds them into the folder, which is also where it works. */
  readonly build: (go: (...words: readonly string[]) => Promise<string>, folder: string) => Promise<void>;
}

/** The folder with the tool's programs. Throws with every way that was tried and why it failed. */
async function goTool({ name, version, programs, build }: GoTool): Promise<string> {
  const signal = AbortSignal.timeout(BUILD_TIMEOUT_MS);
  const folder = join(cacheRoot(process.env), `${name}-${version}`);
  const find = async (): Promise<string> => {
    for (const program of programs) {
      if (!(await isExecutable(join(folder, program)))) throw new Error(`${program} is not there`);
    }
    return folder;
  };
  const make = async (): Promise<string> => {
    console.log(`building ${name} ${version} with Go: this takes minutes, once`);
    await fillCache(folder, async (draft) => {
      const go = async (...words: readonly string[]): Promise<string> => {
        const env = { ...process.env, GOBIN: draft, GOWORK: 'off', GOOS: undefined, GOARCH: undefined };
        const { code, stdout, output } = await run('go', words, { cwd: draft, env, signal });
        if (code !== 0) throw new Error(`go ${words[0]}: ${output.split('\n').slice(-5).join('\n    ')}`);
        return stdout;
      };
      await build(go, draft);
    });
    return await find();
  };
  const ways = [
    { name: `the cache ${folder}`, find },
    { name: 'a build by Go', find: make },
  ];
  return await findByFirst(`${name} ${version}`, ways, 'Install Go (https://go.dev/dl).', signal);
}

/** The words that run Docker Compose: `docker-compose`, or `docker compose`. It needs no engine for `config`. */
export async function findCompose(): Promise<readonly string[]> {
  const standing = [['docker-compose'], ['docker', 'compose']] as const;
  for (const [command, ...words] of standing) {
    const { code } = await run(command, [...words, 'version']).catch(() => ({ code: null }));
    if (code === 0) return [command, ...words];
  }
  const version = '2.40.3';
  const folder = await goTool({
    name: 'docker-compose',
    version,
    programs: ['docker-compose'],
    build: async (go, draft) => {
      const module = 'github.com/docker/compose/v2/cmd';
      // Its go.mod has a `replace`, with which `go install` refuses it.
      await go('mod', 'init', 'scratch');
      await go('get', '-tool', `${module}@v${version}`);
      await go('build', '-o', join(draft, 'docker-compose'), module);
    },
  });
  return [join(folder, 'docker-compose')];
}

/** The checker of GitHub's workflows. */
export async function findActionlint(): Promise<string> {
  const version = '1.7.8';
  const build: GoTool['build'] = async (go) => {
    await go('install', `github.com/rhysd/actionlint/cmd/actionlint@v${version}`);
  };
  return join(await goTool({ name: 'actionlint', version, programs: ['actionlint'], build }), 'actionlint');
}

/** An OpenTelemetry Collector with the components that ours is configured with, of the version that the stack runs. */
export async function findCollector(): Promise<string> {
  const version = '0.159.0';
  const sources = join(import.meta.dirname, 'otelcol');
  const build: GoTool['build'] = async (go, draft) => {
    const module = join(draft, 'source');
    await mkdir(module);
    await cp(join(sources, 'main.go.txt'), join(module, 'main.go'));
    await go('-C', module, 'mod', 'init', 'scratch');
    const core = ['otelcol', 'exporter/otlphttpexporter', 'receiver/otlpreceiver', 'processor/batchprocessor'];
    const modules = [
      ...[...core, 'processor/memorylimiterprocessor'].map((path) => `go.opentelemetry.io/collector/${path}`),
      'github.com/open-telemetry/opentelemetry-collector-contrib/extension/healthcheckextension',
    ];
    await go('-C', module, 'get', ...modules.map((path) => `${path}@v${version}`));
    await go('-C', module, 'mod', 'tidy');
    await go('-C', module, 'build', '-o', join(draft, 'otelcol'), '.');
  };
  return join(await goTool({ name: 'otelcol', version, programs: ['otelcol'], build }), 'otelcol');
}

export interface TemporalServer {
  /** With `temporal-server` and `temporal-sql-tool` in it. */
  readonly folder: string;
  /** The folder of the schemas for PostgreSQL, as in the image: `temporal/versioned`, `visibility/versioned`. */
  readonly schemas: string;
}

/** Temporal's server for PostgreSQL, and what makes its schema. */
export async function findTemporalServer(): Promise<TemporalServer> {
  const version = '1.29.1';
  const module = 'go.temporal.io/server';
  const programs = ['temporal-server', 'temporal-sql-tool'];
  const build: GoTool['build'] = async (go, draft) => {
    await go('install', `${module}/cmd/server@v${version}`);
    await go('install', `${module}/cmd/tools/sql@v${version}`);
    const { Dir: sources } = JSON.parse(await go('mod', 'download', '-json', `${module}@v${version}`)) as {
      Dir: string;
    };
    await cp(join(draft, 'server'), join(draft, 'temporal-server'));
    await cp(join(draft, 'sql'), join(draft, 'temporal-sql-tool'));
    await cp(join(sources, 'schema/postgresql/v12'), join(draft, 'schema'), { recursive: true });
    await run('chmod', ['-R', 'u+w', join(draft, 'schema')]);
  };
  const folder = await goTool({ name: 'temporal-server', version, programs, build });
  return { folder, schemas: join(folder, 'schema') };
}
