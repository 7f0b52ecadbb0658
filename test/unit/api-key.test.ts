import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ApiDenied } from '../../src/commands/api-client.ts';
import { apiKey } from '../../src/commands/api-key.ts';
import { run as orders } from '../../src/commands/orders.ts';
import { run as submit } from '../../src/commands/submit.ts';
import type { NewApiKey } from '../../src/domain/access-ports.ts';
import type { Identity } from '../../src/domain/access.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import { ensureDevKey } from '../../src/embedded/dev-key.ts';
import { type FakeApi, runCommand, startFakeApi } from './submit-api.ts';

let dataDir: string;
beforeEach(async () => {
  dataDir = join(await mkdtemp(join(tmpdir(), 'evenkeel-key-')), 'data');
  await mkdir(dataDir);
});
afterEach(() => rm(join(dataDir, '..'), { recursive: true }));

const devKey = () => join(dataDir, 'dev-key');
const here = new URL('http://127.0.0.1:8080');

describe('the key of a command', () => {
  const keyFor = (url: URL, env: Record<string, string> = {}) =>
    apiKey(url, { env: { EVENKEEL_DATA_DIR: dataDir, ...env } });

  test.each([
    'http://shop.example',
    'http://127.0.0.1.shop.example',
    'http://10.0.0.1:8080',
    'http://localhost.example',
  ])('that start made is not sent to %s', async (url) => {
    await writeFile(devKey(), 'ek_dev\n');
    expect(keyFor(new URL(url))).toBeUndefined();
  });

  test.each(['http://127.0.0.1:8080', 'http://localhost:8080', 'http://[::1]:8080'])(
    'that start made is sent to %s',
    async (url) => {
      await writeFile(devKey(), 'ek_dev\n');
      expect(keyFor(new URL(url))).toEqual({ text: 'ek_dev', from: devKey() });
    },
  );

  test('of the settings, or of a file that they name, goes before it and anywhere', async () => {
    await writeFile(devKey(), 'ek_dev\n');
    const file = join(dataDir, 'of-mine');
    await writeFile(file, 'ek_mine\n');
    expect(keyFor(here, { EVENKEEL_API_KEY: 'ek_mine' })?.text).toBe('ek_mine');
    expect(keyFor(new URL('https://shop.example'), { EVENKEEL_API_KEY_FILE: file })?.text).toBe('ek_mine');
  });

  test('is none where nobody made one', () => expect(keyFor(here)).toBeUndefined());

  test('is refused without being shown where it cannot be one', () => {
    expect(() => keyFor(here, { EVENKEEL_API_KEY: 'ek_mine\r\nx: y' })).toThrow(
      /^EVENKEEL_API_KEY holds no API key(?!.*mine)/,
    );
  });
});

describe('a command and the API', () => {
  let api: FakeApi;
  beforeEach(async () => {
    api = await startFakeApi();
  });
  afterEach(() => api.close());
  const env = (more: Record<string, string> = {}) => ({ env: { EVENKEEL_DATA_DIR: dataDir, ...more } });
  const unauthenticated = () => {
    api.trouble = ({ path }) =>
      path === '/livez' ? undefined : { status: 401, body: { code: 'unauthenticated', detail: 'it has expired' } };
  };

  test('say what to set where there is no key', async () => {
    unauthenticated();
    const failure = runCommand(orders, ['--url', api.url], env());
    await expect(failure).rejects.toThrow(ApiDenied);
    await expect(failure).rejects.toThrow('set EVENKEEL_API_KEY, or EVENKEEL_API_KEY_FILE');
  });

  test('say which key is refused, and why, and never the key', async () => {
    unauthenticated();
    await writeFile(devKey(), 'ek_dev\n');
    const failure = runCommand(orders, ['--url', api.url], env());
    await expect(failure).rejects.toThrow(`the API refuses the key from ${devKey()}: it has expired`);
    await expect(failure).rejects.not.toThrow('ek_dev');
  });

  test('end a submission at the first refusal of the key, instead of one for each order', async () => {
    unauthenticated();
    const file = join(dataDir, 'orders.ndjson');
    const order = (n: number) => JSON.stringify({ orderNumber: `k-${n}`, customerId: 'c', currency: 'GBP' });
    await writeFile(file, [order(1), order(2), order(3)].join('\n'));
    const failure = runCommand(
      submit,
      [file, '--concurrency', '1', '--url', api.url, '--report', `${file}.csv`],
      env(),
    );
    await expect(failure).rejects.toThrow(ApiDenied);
    expect(api.log.filter((line) => line.startsWith('POST'))).toHaveLength(1);
  });

  test('meet with the key as a bearer token', async () => {
    expect(await runCommand(orders, ['--url', api.url], env({ EVENKEEL_API_KEY: 'ek_mine' }))).toMatchObject({
      code: 0,
    });
    expect(api.authorizations).toEqual(['Bearer ek_mine']);
  });
});

describe("the key of 'evenkeel start'", () => {
  const keysOf = (known: Map<string, Identity>) => {
    const made: NewApiKey[] = [];
    const keys: Parameters<typeof ensureDevKey>[1] = {
      find: (key) => Promise.resolve(known.get(key)),
      create: (wanted) => {
        const key = `ek_made_${made.push(wanted)}`;
        known.set(key, { caller: 'key:made', roles: wanted.roles });
        return Promise.resolve({ key, view: {} as never });
      },
    };
    return { keys, made };
  };

  test('is made once, an admin’s, readable by its owner alone', async () => {
    const { keys, made } = keysOf(new Map());
    const key = await ensureDevKey(dataDir, keys);
    expect(await readFile(devKey(), 'utf8')).toBe(`${key}\n`);
    expect((await stat(devKey())).mode & 0o777).toBe(0o600);
    expect(await ensureDevKey(dataDir, keys)).toBe(key);
    expect(made).toMatchObject([{ roles: ['admin'] }]);
  });

  test.each<[string, Identity | undefined]>([
    ['opens nothing any more', undefined],
    ['is no admin’s', { caller: 'key:x', roles: ['read-only'] }],
    ['is a customer’s', { caller: 'key:x', roles: ['admin'], customerId: 'c-1' }],
  ])('is made anew where the one in the file %s', async (_why, identity) => {
    await writeFile(devKey(), 'ek_old\n', { mode: 0o644 });
    const { keys } = keysOf(new Map(identity === undefined ? [] : [['ek_old', identity]]));
    expect(await ensureDevKey(dataDir, keys)).toBe('ek_made_1');
    expect(await readFile(devKey(), 'utf8')).toBe('ek_made_1\n');
    expect((await stat(devKey())).mode & 0o777).toBe(0o600);
  });

  test('that others were let read is closed to them again', async () => {
    await writeFile(devKey(), 'ek_old\n');
    await chmod(devKey(), 0o644);
    const { keys } = keysOf(new Map([['ek_old', { caller: 'key:x', roles: ['admin'] }]]));
    expect(await ensureDevKey(dataDir, keys)).toBe('ek_old');
    expect((await stat(devKey())).mode & 0o777).toBe(0o600);
  });

  test('is not made anew while the store cannot say what it opens', async () => {
    await writeFile(devKey(), 'ek_old\n');
    const { keys, made } = keysOf(new Map());
    const away = { ...keys, find: () => Promise.reject(new DomainFailure('store_unavailable', 'away')) };
    await expect(ensureDevKey(dataDir, away)).rejects.toThrow('away');
    expect(made).toEqual([]);
  });
});
