import { randomInt } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { PartsError } from './parts-error.ts';
import { run } from './run.ts';

const HOST = '127.0.0.1';

/** Whether a server could listen on this port of 127.0.0.1 now. */
export async function isFree(port: number): Promise<boolean> {
  // On macOS one may listen beside a server of all addresses, so asking to listen is not enough.
  return !(await answers(port)) && (await listenOnce(port)) !== undefined;
}

/** Whether something accepts connections on this port of 127.0.0.1. */
export function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: HOST, port, timeout: 1_000 });
    const end = (result: boolean): void => {
      socket.destroy();
      resolve(result);
    };
    socket.on('connect', () => end(true));
    socket.on('timeout', () => end(false));
    socket.on('error', () => end(false));
  });
}

/**
 * Below the ports that Linux and macOS give to outgoing connections: between the choice and its use, one of those would
 * be as good as taken.
 */
const CHOICE = { from: 20_000, to: 32_768 };
const TRIES = 50;

/** A port of 127.0.0.1 that is free now. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const chosen = randomInt(CHOICE.from, CHOICE.to);
    // oxlint-disable-next-line no-await-in-loop -- the next one is tried only if this one is taken
    if (await isFree(chosen)) return chosen;
  }
  const port = await listenOnce(0);
  if (port === undefined) throw new PartsError(`no free port is left on ${HOST}; close some programs and start again`);
  return port;
}

/**
 * The port that `name` had last time, if it is still free, else a new one; kept in `<dataDir>/ports.json`, so that an
 * address that somebody wrote down stays good.
 */
export async function rememberedPort(dataDir: string, name: string): Promise<number> {
  const file = join(dataDir, 'ports.json');
  const ports = await readPorts(file);
  const before = ports[name];
  if (before !== undefined && (await isFree(before))) return before;
  const port = await freePort();
  await writeFile(file, `${JSON.stringify({ ...ports, [name]: port }, null, 2)}\n`);
  return port;
}

/** The port itself, or a free one for 0. Throws a `PartsError` that names port, holder and `variable` if it is taken. */
export async function claimPort(port: number, what: string, variable: string): Promise<number> {
  if (port === 0) return await freePort();
  if (await isFree(port)) return port;
  const holder = await holderOf(port);
  throw new PartsError(
    `port ${port}, meant for ${what}, is taken${holder === undefined ? '' : ` by ${holder}`}. ` +
      `Stop what listens there, or choose another port: ${variable}=${port + 10_000 > 65_535 ? 0 : port + 10_000}`,
  );
}

/** Who listens there, as "name (pid 12)"; undefined if this machine's tools cannot tell. */
async function holderOf(port: number): Promise<string | undefined> {
  const tools: readonly [string, readonly string[], RegExp][] = [
    ['ss', ['-ltnpH', `sport = :${port}`], /\("(?<name>[^"]+)",pid=(?<pid>\d+)/],
    ['lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-Fpc'], /^p(?<pid>\d+)\nc(?<name>.+)$/m],
  ];
  for (const [tool, args, pattern] of tools) {
    // oxlint-disable-next-line no-await-in-loop -- the second tool is asked only if the first cannot tell
    const answer = await run(tool, args, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined);
    const { name, pid } = pattern.exec(answer?.stdout ?? '')?.groups ?? {};
    if (pid !== undefined) return `${name} (pid ${pid})`;
  }
  return undefined;
}

/** Listens for a moment; resolves with the port, or undefined if it cannot be had. */
function listenOnce(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(undefined));
    server.listen({ host: HOST, port }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : undefined));
    });
  });
}

async function readPorts(file: string): Promise<Readonly<Record<string, number>>> {
  try {
    const parsed: unknown = JSON.parse(await readFile(file, 'utf8'));
    const known = Object.entries(parsed ?? {}).filter(([, port]) => Number.isInteger(port) && port > 0);
    return Object.fromEntries(known);
  } catch {
    // Absent or unreadable: nothing is remembered, and new ports are as good.
    return {};
  }
}
