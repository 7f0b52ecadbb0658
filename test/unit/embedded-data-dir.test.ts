import { chmod, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cacheRoot, fillCache } from '../../src/embedded/cache.ts';
import { freshLog, prepareDataDir } from '../../src/embedded/data-dir.ts';
import { onDisk } from '../../src/embedded/parts-error.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evenkeel-data-'));
});

afterEach(async () => {
  await chmod(folder, 0o700);
  await rm(folder, { recursive: true });
});

test('a full disk is said before anything is started, with what is left and what is needed', async () => {
  const petabyte = 2 ** 50;
  await expect(prepareDataDir(join(folder, 'data'), petabyte)).rejects.toThrow(
    /is full: \d+ MB are left.*1073741824 MB/,
  );
});

test('a path through a file is an error that names the folder and the variable', async () => {
  await writeFile(join(folder, 'file'), '');
  const place = join(folder, 'file/data');
  await expect(prepareDataDir(place)).rejects.toThrow(`cannot write to ${place} (ENOTDIR)`);
  await expect(prepareDataDir(place)).rejects.toThrow('EVENKEEL_DATA_DIR');
});

test.skipIf(process.getuid?.() === 0)('a folder that we may not write is an error that says so', async () => {
  await chmod(folder, 0o500);
  await expect(prepareDataDir(join(folder, 'data'))).rejects.toThrow('you may not write there');
});

test('a disk that fills up while a part is prepared is a clear line', async () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  await expect(onDisk('/data', () => Promise.reject(full))).rejects.toThrow(
    'cannot write to /data (ENOSPC): the disk is full; free some space and start again',
  );
});

test('the log of the run before is kept', async () => {
  await prepareDataDir(folder);
  const log = await freshLog(folder, 'postgres');
  await writeFile(log, 'first run');
  await freshLog(folder, 'postgres');
  expect(await readFile(join(folder, 'logs/postgres.1.log'), 'utf8')).toBe('first run');
});

test('a cache is filled whole or not at all', async () => {
  const place = join(folder, 'cache/thing');
  const broken = fillCache(place, async (draft) => {
    await writeFile(join(draft, 'half'), '');
    throw new Error('the network went away');
  });
  await expect(broken).rejects.toThrow('the network went away');
  expect(await readdir(join(folder, 'cache'))).toEqual([]);
});

test('what did not work is replaced', async () => {
  const place = join(folder, 'cache/thing');
  await fillCache(place, (draft) => writeFile(join(draft, 'old'), ''));
  await fillCache(place, (draft) => writeFile(join(draft, 'new'), ''));
  expect(await readdir(place)).toEqual(['new']);
  expect(await readdir(join(folder, 'cache'))).toEqual(['thing']);
});

test('the cache lies where the desktop standard says, and only absolute paths count', () => {
  expect(cacheRoot({ HOME: '/home/me' })).toBe('/home/me/.cache/evenkeel');
  expect(cacheRoot({ HOME: '/home/me', XDG_CACHE_HOME: '/big' })).toBe('/big/evenkeel');
  expect(cacheRoot({ HOME: '/home/me', XDG_CACHE_HOME: 'relative' })).toBe('/home/me/.cache/evenkeel');
});
