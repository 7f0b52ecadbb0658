import { chmod, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheRoot, fillCache, isExecutable } from './cache.ts';
import { findByFirst } from './finding.ts';
import { PartsError } from './parts-error.ts';
import { run } from './run.ts';
import { sdkDownload } from './sdk-download.ts';
import type { FindOptions } from './temporal-cli.ts';

/** From Maven Central: the newest, and tried with the SDK that package.json names. */
const VERSION = '1.38.0';
const NAME = 'temporal-test-server';

/**
 * The path of a time-skipping test server, to be run as `<path> <port>`: `TEMPORAL_TEST_SERVER_PATH`, the cache, the
 * SDK's download, or the Java one from Maven Central behind a script. Throws a `PartsError` that names every way.
 */
export async function findTestServer(options: FindOptions): Promise<string> {
  const { env, signal } = options;
  const chosen = env['TEMPORAL_TEST_SERVER_PATH'];
  if (chosen) {
    if (await isExecutable(chosen)) return chosen;
    throw new PartsError(`TEMPORAL_TEST_SERVER_PATH=${chosen} is no program. Correct it, or unset it.`);
  }
  const folder = join(cacheRoot(env), `${NAME}-${VERSION}`);
  const cached = join(folder, NAME);
  const ways = [
    { name: `the cache ${folder}`, find: () => fromCache(cached) },
    { name: 'download by the Temporal SDK', find: () => download(folder, cached, options) },
    { name: `${NAME} ${VERSION} from Maven Central`, find: () => fromMaven(folder, cached, options) },
  ];
  const advice =
    'Install Java (17 or newer) and Maven, or set TEMPORAL_TEST_SERVER_PATH to the executable from ' +
    'https://github.com/temporalio/sdk-java/releases.';
  return await findByFirst('The Temporal test server', ways, advice, signal);
}

async function fromCache(cached: string): Promise<string> {
  if (!(await isExecutable(cached))) throw new Error('it is not there');
  return cached;
}

async function download(folder: string, cached: string, { report, signal }: FindOptions): Promise<string> {
  report('downloading the Temporal test server (about 30 MB, once)');
  await fillCache(folder, async (draft) => {
    const file = await sdkDownload({ kind: 'time-skipping', version: 'default', folder: draft, report, signal });
    await rename(file, join(draft, NAME));
  });
  return cached;
}

async function fromMaven(folder: string, cached: string, { env, report, signal }: FindOptions): Promise<string> {
  for (const tool of ['java', 'mvn']) {
    // oxlint-disable-next-line no-await-in-loop -- the first that is missing is the one to name
    const { code } = await run(tool, ['-version'], { env, signal }).catch(() => ({ code: null }));
    if (code !== 0) throw new Error(`${tool} is not installed (none on PATH)`);
  }
  report(`fetching the Temporal test server ${VERSION} from Maven Central (38 MB, once)`);
  await fillCache(folder, async (draft) => {
    await copyJars(join(draft, 'jars'), env, signal);
    await writeFile(join(draft, NAME), SCRIPT);
    await chmod(join(draft, NAME), 0o755);
  });
  return cached;
}

async function copyJars(target: string, env: FindOptions['env'], signal: AbortSignal): Promise<void> {
  const project = await mkdtemp(join(tmpdir(), 'evenkeel-maven-'));
  try {
    await writeFile(join(project, 'pom.xml'), POM);
    const args = ['-B', '-q', 'dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${target}`];
    const { code, output } = await run('mvn', args, { env, cwd: project, signal });
    if (code !== 0) throw new Error(output.split('\n').slice(0, 3).join('\n    '));
  } finally {
    await rm(project, { recursive: true, force: true });
  }
}

const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>evenkeel</groupId>
  <artifactId>test-server</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>io.temporal</groupId><artifactId>${NAME}</artifactId><version>${VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
`;

/**
 * The SDK runs it as `<path> <port>`, waits 5 s for it, and stops it by SIGKILL: hence `exec`, and flags for a quick
 * start. Hence also the watcher: a test process that is killed cannot stop its server. Not given:
 * `--enable-time-skipping`, with which time runs away before a worker has its first task, and workflows time out; the
 * SDK unlocks the time itself while a result is awaited.
 */
const SCRIPT = `#!/bin/sh
here=$(dirname "$0")
parent=$PPID
( while kill -0 "$parent" && kill -0 $$; do sleep 1; done; kill -9 $$ ) >/dev/null 2>&1 </dev/null &
exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Xms32m -Xmx256m \\
  -cp "$here/jars/*" io.temporal.testserver.TestServer "$@"
`;
