/** What CI compares a change with: its own script, on repositories as events find them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parse } from 'yaml';
import { run } from '../../src/embedded/run.ts';
import { read } from '../support/compose-check.ts';

interface Workflow {
  readonly jobs: Readonly<
    Record<string, { readonly steps: readonly { readonly name?: string; readonly run?: string }[] }>
  >;
}

const { jobs } = parse(read('.github/workflows/ci.yml')) as Workflow;
const script = jobs['gates']?.steps.find(({ name }) => name === 'What this change is compared with')?.run ?? 'exit 9';

let folder: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'evenkeel-ci-'));
  await git('init', '--quiet');
});
afterEach(() => rmSync(folder, { recursive: true }));

async function git(...words: string[]): Promise<string> {
  const who = ['-c', 'user.name=a', '-c', 'user.email=a@b.invalid'];
  const { code, stdout, output } = await run('git', [...who, ...words], { cwd: folder });
  if (code !== 0) throw new Error(output);
  return stdout.trim();
}

async function commit(): Promise<string> {
  await git('commit', '--quiet', '--allow-empty', '--message', 'a');
  return await git('rev-parse', 'HEAD');
}

/** What the later steps find in BASE. */
async function base(before: string): Promise<string | undefined> {
  const file = join(folder, 'env');
  writeFileSync(file, '');
  const env = { ...process.env, BEFORE: before, GITHUB_ENV: file };
  const { code, output } = await run('bash', ['-e', '-c', script], { cwd: folder, env });
  if (code !== 0) throw new Error(output);
  return /^BASE=(.*)$/m.exec(readFileSync(file, 'utf8'))?.[1];
}

test('a push is compared with what was there before it, however many commits it has', async () => {
  const first = await commit();
  await commit();
  await commit();
  expect(await base(first)).toBe(first);
});

test.each([
  ['a new branch', '0'.repeat(40)],
  ['a forced push over a commit that is gone', 'deadbeef'.repeat(5)],
  ['a run by hand', ''],
])('%s is compared with the commit before', async (_, before) => {
  const first = await commit();
  await commit();
  expect(await base(before)).toBe(first);
});

test('the first commit of all is compared with nothing', async () => {
  await commit();
  expect(await base('0'.repeat(40))).toBeUndefined();
});
