/** Whether what the documents show of other people's programs can work: Docker, and servers beside the API. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { z } from 'zod';
import { faultBody } from '../../src/sandbox/faults.ts';

const compose = readFileSync(fileURLToPath(new URL('../../docker-compose.yml', import.meta.url)), 'utf8');
const services = new Set(
  Object.keys(z.object({ services: z.record(z.string(), z.unknown()) }).parse(parse(compose)).services),
);

/** Of each verb whether its words are services, or one service and then a command. */
const verbs: Readonly<Record<string, 'services' | 'command'>> = {
  up: 'services',
  down: 'services',
  start: 'services',
  stop: 'services',
  restart: 'services',
  pause: 'services',
  unpause: 'services',
  ps: 'services',
  logs: 'services',
  exec: 'command',
  run: 'command',
};
/** Options that have a value of their own. */
const valued = new Set(['--since', '--tail', '--entrypoint', '-e', '-c']);

/** `docker compose VERB … SERVICE …`: verbs and services that exist, and nothing else is touched on the way. */
export function problemsOfDocker([command, verb = '', ...rest]: readonly string[]): string[] {
  const words = verbs[verb];
  if (command !== 'compose' || words === undefined)
    return [`nobody knows whether 'docker ${command} ${verb}' is right`];
  const plain = rest.filter((word, index) => !word.startsWith('-') && !valued.has(rest[index - 1] ?? ''));
  const named = words === 'command' ? plain.slice(0, 1) : plain;
  return [
    ...named.filter((name) => !services.has(name)).map((name) => `docker-compose.yml has no service '${name}'`),
    ...(rest.includes('--scale') ? ['the next `docker compose up` forgets --scale: .env does not'] : []),
    ...(verb === 'up' && named.length > 0 && !(rest.includes('--no-deps') && rest.includes('--no-recreate'))
      ? [`'up ${named.join(' ')}' may replace what runs: --no-deps --no-recreate`]
      : []),
  ];
}

/** The command that `docker compose exec` or `run` gives a container; undefined where there is none. */
export function commandInside([, verb = '', ...rest]: readonly string[]): readonly string[] | undefined {
  if (verbs[verb] !== 'command') return undefined;
  const service = rest.findIndex((word, index) => !word.startsWith('-') && !valued.has(rest[index - 1] ?? ''));
  const entrypoint = rest.indexOf('--entrypoint');
  return [...(entrypoint === -1 ? [] : rest.slice(entrypoint + 1, entrypoint + 2)), ...rest.slice(service + 1)];
}

/** `echo NAME=VALUE >> .env`: a name that docker-compose.yml reads there. */
export function problemsOfEcho(args: readonly string[]): string[] {
  const [name] = /^[A-Z_]+(?==\S+$)/.exec(args.join(' ')) ?? [];
  if (name === undefined) return ["nobody knows whether 'echo' is right"];
  return compose.includes(`\${${name}:-`) ? [] : [`docker-compose.yml does not read ${name}`];
}

/** What is asked of the servers beside the API, by their ports in docker-compose.yml. */
const peers: Readonly<Record<string, readonly string[]>> = {
  '127.0.0.1:9090': ['/-/ready', '/api/v1/alerts', '/api/v1/targets'],
  '127.0.0.1:9093': ['/-/ready'],
};

/** Undefined where the request is to somebody else. */
export function problemsOfPeer(request: {
  readonly url: string;
  readonly method?: string;
  readonly data?: string;
}): string[] | undefined {
  const { url, method = request.data === undefined ? 'get' : 'post', data } = request;
  if (url.startsWith('$PAYMENT_GATEWAY_URL/')) return problemsOfSandbox(url.slice(url.indexOf('/')), method, data);
  const { host, pathname } = URL.canParse(url) ? new URL(url) : { host: '', pathname: '' };
  const paths = peers[host];
  if (paths === undefined) return undefined;
  return method === 'get' && paths.includes(pathname) ? [] : [`nobody knows of ${method} ${url}`];
}

function problemsOfSandbox(path: string, method: string, data: string | undefined): string[] {
  if (path !== '/faults') return [`the sandbox has no ${path}`];
  if (method === 'delete' && data === undefined) return [];
  const { error } = faultBody.safeParse(JSON.parse(data ?? 'null'));
  return error ? [z.prettifyError(error)] : [];
}
