/** Says what is wrong with the commands that stand in the documents, by asking the program itself. */
import { existsSync, readFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { apiRoutes } from '../../src/api/app.ts';
import type { Route } from '../../src/api/route.ts';
import { main, usage } from '../../src/cli.ts';
import { describeConfig } from '../../src/config.ts';
import vitest from '../../vitest.config.ts';
import { fakes, orderId } from './api-fakes.ts';
import { commandsOf, splitAssignments } from './docs-shell.ts';
import { commandInside, problemsOfDocker, problemsOfEcho, problemsOfPeer } from './docs-tools.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
export const inCheckout = (path: string): boolean => existsSync(`${root}${path}`);

const { scripts } = z
  .object({ scripts: z.record(z.string(), z.string()) })
  .parse(JSON.parse(readFileSync(`${root}package.json`, 'utf8')));
const settings = new Set([...describeConfig().map(({ name }) => name), 'TEMPORAL_TEST_SERVER_PATH', 'XDG_CACHE_HOME']);
const routes = apiRoutes(fakes());
/** What needs no proof here; amtool and temporal have one of their own, test/integration/runbooks.test.ts. */
const plainTools = new Set(['cat', 'cd', 'git', 'seq', 'amtool', 'temporal', 'psql', 'pgbench', 'rabbitmqctl']);

/** Their first word is one of a few, and no name. */
const withVerbs = new Set(['audit', 'consumers', 'dead-letters', 'keys', 'slo']);

/** What cannot work of a script; empty if nothing. */
export async function problemsOf(script: string): Promise<string[]> {
  const found = await Promise.all(
    commandsOf(script).map(async (words) => {
      const { set, command } = splitAssignments(words);
      // Lower case is the script's own.
      const unknown = set.filter((name) => name === name.toUpperCase() && !settings.has(name));
      return [...unknown.map((name) => `there is no setting ${name}`), ...(await problemsOfCommand(command))];
    }),
  );
  return found.flat();
}

async function problemsOfCommand([name, ...args]: readonly string[]): Promise<string[]> {
  switch (name) {
    case undefined:
      return [];
    case 'npm':
      return problemsOfNpm(args);
    case 'npx':
      return problemsOfNpx(args);
    case 'evenkeel':
      return problemsOfEvenkeel(args);
    case 'node':
      // In the image.
      if (args[0] === 'dist/main.js') return problemsOfEvenkeel(args.slice(1));
      return args[0]?.startsWith('-') || inCheckout(args[0] ?? '') ? [] : [`there is no ${args[0]} to run`];
    case 'curl':
      return problemsOfPeer(curlRequest(args)) ?? problemsOfCurl(args);
    case 'docker':
      return [...problemsOfDocker(args), ...(await problemsOfCommand(commandInside(args) ?? []))];
    case 'echo':
      return problemsOfEcho(args);
    default:
      if (name.startsWith('ops/')) return inCheckout(name) ? [] : [`there is no ${name} to run`];
      return plainTools.has(name) ? [] : [`nobody knows whether '${name}' is right`];
  }
}

async function problemsOfNpm([verb = '', ...args]: readonly string[]): Promise<string[]> {
  if (['ci', 'install', 'ls'].includes(verb)) return [];
  const [script = '', ...rest] = verb === 'run' ? args : [verb, ...args];
  const line = scripts[script];
  if (line === undefined) return [`package.json has no script '${script}'`];
  const words = rest.slice(rest.indexOf('--') + 1);
  const [launched] = /(?<=^node bin\/evenkeel\.js )\w+/.exec(line) ?? [];
  if (rest.length === 0) return [];
  return launched === undefined
    ? [`nobody knows what '${script}' does with words`]
    : problemsOfEvenkeel([launched, ...words]);
}

async function problemsOfNpx([tool = '', ...args]: readonly string[]): Promise<string[]> {
  if (tool === 'evenkeel') return problemsOfEvenkeel(args);
  if (!inCheckout(`node_modules/.bin/${tool}`)) return [`npm ci brings no '${tool}'`];
  if (tool !== 'vitest') return [];
  const named = z.looseObject({ test: z.looseObject({ name: z.string() }) });
  const projects = new Set((vitest.test?.projects ?? []).map((project) => named.parse(project).test.name));
  return args.flatMap((word, index) => {
    if (args[index - 1] === '--project') return projects.has(word) ? [] : [`vitest has no project '${word}'`];
    return word.includes('/') && !inCheckout(word) ? [`there is no ${word}`] : [];
  });
}

async function problemsOfEvenkeel([command = 'help', ...args]: readonly string[]): Promise<string[]> {
  if (!new RegExp(`^ {2}${command} `, 'm').test(usage())) return [`evenkeel has no command '${command}'`];
  const help = await helpOf(command);
  const [verb] = args;
  const words = args.filter((word) => word.startsWith('--') || (word === verb && withVerbs.has(command)));
  return words
    .filter((word) => !new RegExp(`(?<![\\w-])${word.replace(/=.*/, '')}(?![\\w-])`).test(help))
    .map((word) => `evenkeel ${command} has no ${word}`);
}

async function helpOf(command: string): Promise<string> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const code = await main([command, '--help'], { stdout, stderr, env: {}, signal: AbortSignal.timeout(10_000) });
  stdout.end();
  stderr.end();
  const [said, complaint] = await Promise.all([text(stdout), text(stderr)]);
  if (code !== 0) throw new Error(`evenkeel ${command} --help: ${complaint}`);
  return said;
}

function problemsOfCurl(args: readonly string[]): string[] {
  const request = curlRequest(args);
  const url = new URL(request.url.replaceAll(/\$\{?\w+\}?/g, orderId));
  const method = request.method ?? (request.data === undefined ? 'get' : 'post');
  const route = routes.find((candidate) => candidate.method === method && pathPattern(candidate).test(url.pathname));
  if (url.host !== '127.0.0.1:8080') return [`${url.host} is not where the API listens`];
  if (route === undefined) return [`the API has no ${method.toUpperCase()} ${url.pathname}`];
  const body = request.data === undefined ? {} : (JSON.parse(request.data) as unknown);
  const isJson = request.data === undefined || request.headers['content-type'] === 'application/json';
  const parts: [string, z.ZodType, unknown][] = [
    ['query', route.query, Object.fromEntries(url.searchParams)],
    ['headers', route.headers, request.headers],
    ['body', route.body ?? z.strictObject({}), body],
  ];
  return [
    ...(isJson ? [] : ['the body is sent without Content-Type: application/json']),
    ...parts.flatMap(([part, schema, value]) => {
      const { error } = schema.safeParse(value);
      return error ? [`the ${part} of ${method.toUpperCase()} ${route.path}: ${z.prettifyError(error)}`] : [];
    }),
  ];
}

interface CurlRequest {
  url: string;
  method?: string;
  data?: string;
  readonly headers: Record<string, string>;
}

/** The options that the documents use; another one is an error here until somebody says what it means. */
function curlRequest(args: readonly string[]): CurlRequest {
  const request: CurlRequest = { url: '', headers: {} };
  const words = [...args];
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    const [name = '', value = ''] = word === '-H' ? (words.shift() ?? '').split(/:\s*/) : [];
    if (word === '-H') request.headers[name.toLowerCase()] = value;
    else if (word === '-X') request.method = (words.shift() ?? '').toLowerCase();
    else if (word === '-d') request.data = words.shift() ?? '';
    else if (!word.startsWith('-')) request.url = word;
    else if (!['-sS', '-i', '-f'].includes(word)) throw new Error(`what does curl make of ${word}?`);
  }
  return request;
}

function pathPattern({ path }: Route): RegExp {
  return new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`);
}
