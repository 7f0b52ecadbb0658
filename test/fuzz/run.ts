/**
 * `node test/fuzz/run.ts [seconds] [more options of schemathesis]`: sends the API what its own description calls right,
 * and what it calls wrong, and asks of each answer that it is described and no 5xx. Starts everything it needs, in a
 * folder of its own. Schemathesis is from PyPI: `SCHEMATHESIS` names its executable, otherwise the version below is
 * installed once beside our other tools, which needs Python. Ends with its exit code; what it found is in
 * `.evenkeel/fuzz/` then.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { cacheRoot } from '../../src/embedded/cache.ts';
import { freePort } from '../../src/embedded/ports.ts';
import { run } from '../../src/embedded/run.ts';
import { Program } from '../support/program.ts';

const SCHEMATHESIS = '4.32.5';
const REPORT = '.evenkeel/fuzz';
const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
  'negative_data_rejection',
  'unsupported_method',
  'allow_header_conformance',
  'ignored_auth',
];

const FORCE = 'forceBreaker';
/** What says no to what the description forbids; a body that is too long to be read is told so first. */
const REFUSALS =
  '[checks.negative_data_rejection]\nexpected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, 431]\n';

const [seconds = '300', ...options] = process.argv.slice(2);

async function findSchemathesis(): Promise<string> {
  const chosen = process.env['SCHEMATHESIS'];
  if (chosen !== undefined) return chosen;
  const home = join(cacheRoot(process.env), `schemathesis-${SCHEMATHESIS}`);
  const path = join(home, 'bin/schemathesis');
  if (existsSync(path)) return path;
  mkdirSync(dirname(home), { recursive: true });
  for (const [command, ...args] of [
    ['python3', '-m', 'venv', home],
    [join(home, 'bin/pip'), 'install', '--quiet', `schemathesis==${SCHEMATHESIS}`],
  ] as const) {
    const { code, output } = await run(command, args);
    if (code === 0) continue;
    await rm(home, { recursive: true, force: true });
    throw new Error(`schemathesis cannot be installed:\n${output}`);
  }
  return path;
}

/** Of an order of the samples, one of its events, and a consumer, for the operations that ask for one. */
async function knownIds(url: string, authorization: string): Promise<string> {
  const ask = async (path: string, body?: unknown): Promise<Record<string, unknown>> => {
    const headers = { authorization, 'content-type': 'application/json', 'idempotency-key': 'fuzz' };
    const init = body === undefined ? { headers } : { headers, method: 'POST', body: JSON.stringify(body) };
    const response = await fetch(`${url}${path}`, init);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Record<string, unknown>;
  };
  const first = async (path: string): Promise<string> => {
    const { data } = (await ask(path)) as unknown as { data: readonly { readonly id: string }[] };
    return data[0]?.id ?? '';
  };
  // Nobody listens there: what is sent to it fails, and becomes dead letters.
  const consumer = await ask('/v1/consumers', {
    name: 'fuzzed',
    url: 'http://127.0.0.1:9/',
    types: ['evenkeel.order.*'],
  });
  const ids = {
    '^/v1/orders/': await first('/v1/orders'),
    '^/v1/events/': await first('/v1/events'),
    '^/v1/consumers/': String(consumer['id']),
  };
  return Object.entries(ids)
    .map(([paths, id]) => `[[operations]]\ninclude-path-regex = '${paths}'\nparameters = { id = '${id}' }\n`)
    .join('\n');
}

async function main(): Promise<number> {
  const schemathesis = await findSchemathesis();
  const folder = await mkdtemp(join(tmpdir(), 'evenkeel-fuzz-'));
  // As root, PostgreSQL runs as somebody else, who must pass through.
  await chmod(folder, 0o711);
  const port = await freePort();
  const program = new Program(['start'], {
    EVENKEEL_DATA_DIR: join(folder, 'data'),
    EVENKEEL_HTTP_PORT: String(port),
    EVENKEEL_METRICS_PORT: '0',
    EVENKEEL_TEMPORAL_PORT: String(await freePort()),
    EVENKEEL_TEMPORAL_UI_PORT: String(await freePort()),
    // What is refused for its number alone tells nothing of the rest.
    EVENKEEL_RATE_LIMIT_PER_SECOND: '1000000',
    EVENKEEL_RATE_LIMIT_BURST: '1000000',
    EVENKEEL_SHED_AGE_MS: '600000',
  });
  try {
    await program.start('Ctrl-C stops everything');
    const url = `http://127.0.0.1:${port}`;
    const authorization = `Bearer ${readFileSync(join(folder, 'data/dev-key'), 'utf8').trim()}`;
    const configFile = join(folder, 'schemathesis.toml');
    const words = [
      '--config-file',
      configFile,
      'run',
      `${url}/openapi.json`,
      '--header',
      `Authorization: ${authorization}`,
    ];
    words.push('--checks', CHECKS.join(','), '--max-time', seconds, '--continue-on-failure', '--max-examples', '25');
    words.push(
      '--suppress-health-check',
      'filter_too_much',
      '--report',
      'json',
      '--report-dir',
      resolve(REPORT),
      '--warnings',
      'off',
      '--no-color',
    );
    let failed = 0;
    // Once with ids of nothing, as strangers have them, once with those of what is there; at the end alone what makes
    // others answer 503, and rightly so.
    const passes = [
      { config: '', which: ['--exclude-operation-id', FORCE] },
      { config: await knownIds(url, authorization), which: ['--exclude-operation-id', FORCE] },
      { config: '', which: ['--include-operation-id', FORCE] },
    ];
    for (const { config, which } of passes) {
      writeFileSync(configFile, `${REFUSALS}\n${config}`);
      const child = spawn(schemathesis, [...words, ...which, ...options], { stdio: 'inherit', cwd: folder });
      const [code] = (await once(child, 'exit')) as [number | null];
      failed ||= code ?? 1;
    }
    const log = readFileSync(join(folder, 'data/logs/evenkeel.log'), 'utf8').split('\n');
    const errors = log.filter((line) => line.includes('"level":"error"'));
    console.log([`${errors.length} errors in the log`, ...errors.slice(0, 20)].join('\n'));
    return failed;
  } finally {
    await program.end('SIGTERM');
    await rm(folder, { recursive: true, force: true });
  }
}

process.exitCode = await main();
