import { rename } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { cacheRoot, fillCache, isExecutable } from './cache.ts';
import { findByFirst } from './finding.ts';
import { PartsError, messageOf } from './parts-error.ts';
import { run } from './run.ts';
import { sdkDownload } from './sdk-download.ts';

export interface FindOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly report: (line: string) => void;
  readonly signal: AbortSignal;
}

/** The version that is fetched or built where there is none. Later ones cannot be built by `go install`. */
const CLI_VERSION = '1.5.1';
/** Versions that the tests have run with. One built by `go install` does not know its own, only its server's. */
const TESTED = { cli: ['1.5.1'], server: ['1.29.1'] } as const;
const GO_PACKAGE = `github.com/temporalio/cli/cmd/temporal@v${CLI_VERSION}`;

/**
 * The path of a Temporal executable: `TEMPORAL_CLI_PATH`, one on PATH of a version that we test, the cache, the SDK's
 * download, or built by Go into the cache. Throws a `PartsError` that names every way and why it failed.
 */
export async function findTemporalCli(options: FindOptions): Promise<string> {
  const { env, signal } = options;
  const chosen = env['TEMPORAL_CLI_PATH'];
  if (chosen) {
    await temporalVersion(chosen, signal).catch((error: unknown) => {
      throw new PartsError(
        `TEMPORAL_CLI_PATH=${chosen} cannot be used: ${messageOf(error)}. Correct it, or unset it to have one found.`,
        { cause: error },
      );
    });
    return chosen;
  }
  const folder = join(cacheRoot(env), `temporal-cli-${CLI_VERSION}`);
  const cached = join(folder, 'temporal');
  const ways = [
    { name: 'temporal on PATH', find: () => fromPath(options) },
    { name: `the cache ${folder}`, find: () => fromCache(cached, signal) },
    { name: 'download by the Temporal SDK', find: () => download(folder, cached, options) },
    { name: `go install ${GO_PACKAGE}`, find: () => build(folder, cached, options) },
  ];
  const advice =
    `Install the Temporal CLI ${CLI_VERSION} (https://docs.temporal.io/cli) or Go (https://go.dev/dl), set ` +
    `TEMPORAL_CLI_PATH to an executable, or set TEMPORAL_ADDRESS to a Temporal server that runs already.`;
  return await findByFirst('The Temporal executable', ways, advice, signal);
}

/** What `temporal --version` says of itself. Throws with the reason if the program is none or does not run. */
export async function temporalVersion(path: string, signal: AbortSignal): Promise<{ cli: string; server: string }> {
  if (!(await isExecutable(path))) throw new Error('there is no such program');
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(20_000)]);
  const { stdout, output, code } = await run(path, ['--version'], { signal: bounded });
  const found = /^temporal version (?<cli>\S+) \(Server (?<server>[^,)]+)/.exec(stdout)?.groups;
  if (code !== 0 || !found) {
    throw new Error(`'--version' says nothing of Temporal but: ${output.slice(0, 200) || `exit code ${code}`}`);
  }
  return { cli: found['cli'] ?? '', server: found['server'] ?? '' };
}

async function fromPath({ env, report, signal }: FindOptions): Promise<string> {
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const paths = folders.map((folder) => join(folder, 'temporal'));
  const found = await Promise.all(paths.map((path) => isExecutable(path)));
  const path = paths.find((_, index) => found[index]);
  if (path === undefined) throw new Error('there is none');
  const { cli, server } = await temporalVersion(path, signal);
  if (TESTED.cli.some((tested) => tested === cli) || TESTED.server.some((tested) => tested === server)) return path;
  const reason = `${path} is version ${cli} (server ${server}), and ${TESTED.cli.join(', ')} is what we test`;
  report(`${reason}; set TEMPORAL_CLI_PATH=${path} to use it all the same`);
  throw new Error(reason);
}

async function fromCache(cached: string, signal: AbortSignal): Promise<string> {
  await temporalVersion(cached, signal);
  return cached;
}

async function download(folder: string, cached: string, { report, signal }: FindOptions): Promise<string> {
  report(`downloading the Temporal CLI ${CLI_VERSION} (about 60 MB, once)`);
  await fillCache(folder, async (draft) => {
    const file = await sdkDownload({ kind: 'dev-server', version: `v${CLI_VERSION}`, folder: draft, report, signal });
    await rename(file, join(draft, 'temporal'));
  });
  return await fromCache(cached, signal);
}

async function build(folder: string, cached: string, { env, report, signal }: FindOptions): Promise<string> {
  const { code: hasGo } = await run('go', ['version'], { env, signal }).catch(() => ({ code: null }));
  if (hasGo !== 0) throw new Error('Go is not installed (no go on PATH)');
  report(`building the Temporal CLI ${CLI_VERSION} with Go: this takes 2 to 10 minutes, once`);
  await fillCache(folder, async (draft) => {
    const begin = performance.now();
    let [downloaded, compiled] = [0, 0];
    const progress = setInterval(() => {
      const seconds = Math.round((performance.now() - begin) / 1_000);
      report(
        `building the Temporal CLI: ${seconds} s, ${downloaded} modules downloaded, ${compiled} packages compiled`,
      );
    }, 5_000);
    try {
      const { code, output } = await run('go', ['install', '-v', GO_PACKAGE], {
        // Its own go.mod decides, not a workspace around us; and GOBIN is refused for another platform's build.
        env: { ...env, GOBIN: draft, GOWORK: 'off', GOOS: undefined, GOARCH: undefined, GOFLAGS: env['GOFLAGS'] ?? '' },
        cwd: draft,
        signal,
        onLine: (line) => {
          if (line.startsWith('go: downloading')) downloaded += 1;
          else compiled += 1;
        },
      });
      if (code !== 0) throw new Error(lastLines(output));
    } finally {
      clearInterval(progress);
    }
  });
  return await fromCache(cached, signal);
}

function lastLines(output: string): string {
  const lines = output.split('\n').filter((line) => !line.startsWith('go: downloading'));
  return lines.slice(-5).join('\n    ');
}
