import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type Server, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { claimPort, freePort, isFree, rememberedPort } from '../../src/embedded/ports.ts';

let dataDir: string;
let taken: Server;
let takenPort: number;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'evenkeel-ports-'));
  taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const address = taken.address();
  takenPort = typeof address === 'object' && address ? address.port : 0;
});

afterEach(async () => {
  taken.close();
  await rm(dataDir, { recursive: true });
});

test('a taken port is an error that names the port, its holder and the variable that changes it', async () => {
  const claim = claimPort(takenPort, 'the Temporal Web UI', 'EVENKEEL_TEMPORAL_UI_PORT');
  await expect(claim).rejects.toThrow(`port ${takenPort}, meant for the Temporal Web UI, is taken`);
  await expect(claim).rejects.toThrow('EVENKEEL_TEMPORAL_UI_PORT=');
});

test.runIf(process.platform === 'linux')('the holder of a taken port is named', async () => {
  await expect(claimPort(takenPort, 'Temporal', 'X')).rejects.toThrow(`(pid ${process.pid})`);
});

test('a free port is taken as it is, and 0 stands for any free one', async () => {
  const free = await freePort();
  expect(await claimPort(free, 'Temporal', 'X')).toBe(free);
  const any = await claimPort(0, 'Temporal', 'X');
  expect(any).toBeGreaterThan(0);
  expect(await isFree(any)).toBe(true);
});

test('a free port is none that an outgoing connection may be given in the meantime', async () => {
  const ports = await Promise.all(Array.from({ length: 20 }, freePort));
  expect(Math.max(...ports)).toBeLessThan(32_768);
  expect(new Set(ports).size).toBeGreaterThan(10);
});

test('a port is remembered', async () => {
  const port = await rememberedPort(dataDir, 'postgres');
  const other = await rememberedPort(dataDir, 'sandbox');
  expect(await rememberedPort(dataDir, 'postgres')).toBe(port);
  expect(await rememberedPort(dataDir, 'sandbox')).toBe(other);
});

test('a remembered port that is taken by now is replaced by a free one, which is remembered', async () => {
  await writeFile(join(dataDir, 'ports.json'), JSON.stringify({ postgres: takenPort }));
  const port = await rememberedPort(dataDir, 'postgres');
  expect(port).not.toBe(takenPort);
  expect(JSON.parse(await readFile(join(dataDir, 'ports.json'), 'utf8'))).toEqual({ postgres: port });
});

test('a ports file that nobody can read is as good as none', async () => {
  await writeFile(join(dataDir, 'ports.json'), '{"postgres": "none", "sandb');
  expect(await rememberedPort(dataDir, 'postgres')).toBeGreaterThan(0);
});
