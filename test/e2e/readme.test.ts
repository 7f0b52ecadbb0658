import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { audit } from '../support/audit.ts';
import { useStack } from '../support/stack.ts';

const root = join(import.meta.dirname, '../..');
const stack = useStack(() => ({ dispatchAfterMs: -1 }));

/** What is between ```sh and ```, in the order of the page. */
async function blocks(): Promise<string[]> {
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  return [...readme.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block = '']) => block);
}

test('every command of the README does what the README says, in its order', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'evenkeel-readme-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, '.evenkeel'));
  await writeFile(join(folder, '.evenkeel/dev-key'), `${stack().key}\n`, { mode: 0o600 });
  let [key, order] = ['', ''];
  /** As a reader types it, in one shell after the other; a request that is refused fails. */
  const run = async (block: string): Promise<string> => {
    const script = [
      'set -euo pipefail',
      `key='${key}' order='${order}'`,
      'curl() { command curl --fail-with-body "$@"; }',
      `npx() { [ "$1" = evenkeel ] && '${process.execPath}' '${root}/bin/evenkeel.js' "\${@:2}"; }`,
      block.replaceAll('http://127.0.0.1:8080', stack().url).replaceAll('/tmp/', `${folder}/`),
      'echo; echo "key=$key order=$order"',
    ].join('\n');
    const { PATH, HOME } = process.env;
    const { EVENKEEL_HTTP_PORT } = stack().env;
    const shell = { cwd: folder, env: { PATH, HOME, EVENKEEL_HTTP_PORT }, timeout: 60_000 };
    const { stdout } = await promisify(execFile)('bash', ['-c', script], shell);
    [, key = '', order = ''] = /key=(.*) order=(.*)\n$/.exec(stdout) ?? [];
    return stdout;
  };
  const [first = '', stuck = '', decide = '', cancel = '', file = '', ...others] = await blocks();
  const [consumer = '', dead = '', objectives = '', guards = '', ...more] = others;
  expect(more).toEqual([]);

  const firstAnswer = await run(first);
  expect(firstAnswer).toContain('HTTP/1.1 202');
  const repeated = await run(first);
  expect(repeated.toLowerCase()).toContain('idempotent-replayed: true');

  await run(stuck);
  await stack().when(order, 'stuck at booking', ({ attention }) => attention?.step === 'book');
  expect(await run('npx evenkeel orders --attention')).toContain(order.slice(0, 8));
  const shown = await run('npx evenkeel order "$order"');
  expect(shown).toContain('retry_corrected');
  await run(decide);
  await stack().when(order, 'booked', ({ fulfillments }) => fulfillments[0]?.status === 'booked');
  await run(cancel);
  const orders = await stack().ended([order]);
  expect(orders).toMatchObject([{ status: 'cancelled' }]);

  await stack().sandbox.configure({ dispatchAfterMs: 50 });
  const submitted = await run(file);
  expect(submitted).toMatch(/orders accepted: 2 new/);
  expect(submitted).toMatch(/2 {2}completed/);
  expect(await readFile(join(folder, 'orders.csv.refused.csv'), 'utf8')).toContain('C1003');
  expect(await audit(stack(), orders)).toEqual([]);

  const made = await run(consumer);
  expect(made).toContain('"secret":"whsec_');
  expect(made).toMatch(/my shop +enabled/);
  expect(await run(dead)).toContain('no such dead letters');
  expect(await run(objectives)).toMatch(/order-processing +\S.* 99\.9 %/);
  const guarded = await run(guards);
  expect(guarded).toContain('"name":"payment"');
  expect(guarded).toContain('decideOrder');
});
