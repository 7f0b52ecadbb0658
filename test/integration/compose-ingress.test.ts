/** The one address before the APIs of the compose stack, over real sockets. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type Server, createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { answers, freePort } from '../../src/embedded/ports.ts';
import { PlainProcess } from '../support/compose-process.ts';
import { ROOT } from '../support/compose-file.ts';
import { waitFor } from '../support/wait.ts';

let folder: string;
let [port, apiPort] = [0, 0];
let ingress: PlainProcess;
let api: Server | undefined;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'evenkeel-ingress-'));
  [port, apiPort] = [await freePort(), await freePort()];
  ingress = new PlainProcess({
    command: process.execPath,
    // A name with two addresses, of which one does not answer.
    args: ['ops/compose/ingress.js', '--to', `localhost:${apiPort}`, '--host', '127.0.0.1', '--port', String(port)],
    env: {},
    cwd: ROOT,
    logFile: join(folder, 'log'),
  });
  await waitFor('it listens', () => answers(port));
});
afterEach(async () => {
  api?.closeAllConnections();
  api?.close();
  await ingress.end('SIGKILL');
  rmSync(folder, { recursive: true });
});

async function startApi(): Promise<Server> {
  const server = createServer((request, response) => {
    if (request.url === '/breaks') request.socket.destroy();
    else request.pipe(response);
  });
  server.listen(apiPort, '127.0.0.1');
  await once(server, 'listening');
  api = server;
  return server;
}

const send = async (path: string, body: string): Promise<string> =>
  await (await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body })).text();

test('a request of any size goes through, and its answer comes back', async () => {
  await startApi();
  const large = 'x'.repeat(3_000_000);
  expect(await send('/', large)).toBe(large);
});

test('without an API it refuses at once, and goes on when there is one', async () => {
  await expect(send('/', 'a')).rejects.toThrow('fetch failed');
  await startApi();
  expect(await send('/', 'a')).toBe('a');
});

test('a connection that breaks ends with its other half, and no other', async () => {
  const server = await startApi();
  await expect(send('/breaks', 'a')).rejects.toThrow('fetch failed');
  expect(await send('/', 'b')).toBe('b');
  server.closeAllConnections();
  await waitFor(
    'all are closed',
    async () =>
      await new Promise<boolean>((resolve) => server.getConnections((_, connections) => resolve(connections === 0))),
  );
  expect(ingress.isRunning).toBe(true);
});
