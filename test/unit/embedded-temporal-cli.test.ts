import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findByFirst } from '../../src/embedded/finding.ts';
import { PartsError } from '../../src/embedded/parts-error.ts';
import { findTemporalCli } from '../../src/embedded/temporal-cli.ts';
import { findTestServer } from '../../src/embedded/temporal-test-server.ts';

let folder: string;
const reported: string[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evenkeel-cli-'));
  reported.length = 0;
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function program(path: string, says: string): Promise<string> {
  const file = join(folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `#!/bin/sh\necho '${says}'\n`);
  await chmod(file, 0o755);
  return file;
}

function options(env: Readonly<Record<string, string>>): Parameters<typeof findTemporalCli>[0] {
  return {
    env: { XDG_CACHE_HOME: join(folder, 'cache'), ...env },
    report: (line) => void reported.push(line),
    signal: new AbortController().signal,
  };
}

const TESTED = 'temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)';
const BUILT_BY_GO = 'temporal version 0.0.0-DEV (Server 1.29.1, UI 2.42.1)';
const OTHER = 'temporal version 1.9.1 (Server 1.33.0, UI 2.50.0)';
const CACHED = 'cache/evenkeel/temporal-cli-1.5.1/temporal';

test('TEMPORAL_CLI_PATH is used before all else, whatever its version', async () => {
  await program('bin/temporal', TESTED);
  const chosen = await program('mine', OTHER);
  expect(await findTemporalCli(options({ TEMPORAL_CLI_PATH: chosen, PATH: join(folder, 'bin') }))).toBe(chosen);
});

test.each(['no such file', 'not temporal'])(
  'a TEMPORAL_CLI_PATH that is %s is an error, not a reason to look on',
  async (name) => {
    await program('not temporal', 'I am something else');
    await program(CACHED, TESTED);
    const path = join(folder, name);
    await expect(findTemporalCli(options({ TEMPORAL_CLI_PATH: path }))).rejects.toThrow(
      `TEMPORAL_CLI_PATH=${path} cannot be used`,
    );
  },
);

test.each([TESTED, BUILT_BY_GO])('one on PATH is used if we test its version: %s', async (version) => {
  const path = await program('bin/temporal', version);
  await program(CACHED, TESTED);
  expect(await findTemporalCli(options({ PATH: `/nowhere:${join(folder, 'bin')}:/usr/bin:/bin` }))).toBe(path);
});

test('one on PATH of another version is passed over, and how to insist is said', async () => {
  const path = await program('bin/temporal', OTHER);
  const cached = await program(CACHED, BUILT_BY_GO);
  expect(await findTemporalCli(options({ PATH: `${join(folder, 'bin')}:/usr/bin:/bin` }))).toBe(cached);
  expect(reported).toEqual([expect.stringContaining(`set TEMPORAL_CLI_PATH=${path} to use it all the same`)]);
});

test('TEMPORAL_TEST_SERVER_PATH is used, or refused by name', async () => {
  const path = await program('server', '');
  expect(await findTestServer(options({ TEMPORAL_TEST_SERVER_PATH: path }))).toBe(path);
  await expect(findTestServer(options({ TEMPORAL_TEST_SERVER_PATH: '/nowhere' }))).rejects.toThrow(
    'TEMPORAL_TEST_SERVER_PATH=/nowhere is no program',
  );
});

const fails = (why: string): Promise<string> => Promise.reject(new Error(why));
const { signal } = new AbortController();

test('the first way that leads somewhere is taken, and none after it', async () => {
  const ways = [
    { name: 'one', find: () => fails('closed') },
    { name: 'two', find: () => Promise.resolve('/found') },
    { name: 'three', find: () => fails('never asked') },
  ];
  expect(await findByFirst('It', ways, '', signal)).toBe('/found');
});

test('if no way leads anywhere, each is named with its reason, and what to do', async () => {
  const ways = ['one', 'two'].map((name) => ({ name, find: () => fails(`no ${name}`) }));
  await expect(findByFirst('It', ways, 'Install it.', signal)).rejects.toThrow(
    'It was not found, and could not be got:\n  - one: no one\n  - two: no two\nInstall it.',
  );
});

test('what only a person can put right ends the search at once', async () => {
  const full = new PartsError('the disk is full');
  const ways = [
    { name: 'one', find: () => Promise.reject(full) },
    { name: 'two', find: () => Promise.resolve('/found') },
  ];
  await expect(findByFirst('It', ways, '', signal)).rejects.toBe(full);
});
