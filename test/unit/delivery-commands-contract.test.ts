import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { run as consumers } from '../../src/commands/consumers.ts';
import { run as deadLetters } from '../../src/commands/dead-letters.ts';
import { consumerId, letterId, redriveId, secret } from './api-delivery-fakes.ts';
import { fakes, orderId, serve } from './api-fakes.ts';
import { runCommand } from './submit-api.ts';

/** The API itself, over ports that keep nothing: what it refuses, it refuses here too. */
async function realApi() {
  const deps = fakes();
  const { list } = deps.consumers;
  // The commands read on to the last page, which these have none of.
  deps.consumers.list = async (page) => ({ ...(await list(page)), nextCursor: null });
  const { url } = await serve(deps);
  return {
    asked: (name: string) => deps.calls.filter(([called]) => called === name).map(([, ...given]) => given),
    url,
  };
}

const byAdmin = { env: { EVENKEEL_API_KEY: 'admin' } };

test('the API takes every word about consumers, and the commands read its answers', async () => {
  const { asked, url } = await realApi();
  const ran = (...words: string[]) => runCommand(consumers, [...words, '--url', url], byAdmin);
  expect((await ran()).stdout).toMatch(new RegExp(`^${consumerId} +warehouse .* probing +12 +4 s +1 +http_500$`, 'm'));
  expect((await ran('show', 'warehouse')).stdout).toContain('probing for ');
  expect((await ran('ping', consumerId)).stdout).toMatch(/^(delivered|failed) /);
  const by = ['--actor', 'Ada', '--reason', 'a, b & c'];
  expect((await ran('pause', consumerId, ...by)).code).toBe(0);
  expect((await ran('enable', consumerId, ...by)).code).toBe(0);
  expect((await ran('delete', consumerId, ...by)).stdout).toContain('the 12 deliveries that waited');
  expect(asked('consumers.remove')).toEqual([[consumerId, { actor: 'Ada', reason: 'a, b & c' }]]);
  expect(asked('consumers.change').map(([, change]) => change)).toEqual([
    expect.objectContaining({ state: 'paused' }),
    expect.objectContaining({ state: 'enabled' }),
  ]);
  const target = ['--url', 'https://shop.example/hooks', '--filter', '{"data":{"currency":"GBP"}}'];
  const added = await runCommand(consumers, ['add', '--name', 'n', '--types', '*', ...target, '--api', url], byAdmin);
  expect(added.stdout).toContain(`secret  ${secret}\n`);
});

test('the API takes every word about dead letters, and the commands read its answers', async () => {
  const { asked, url } = await realApi();
  const ran = (...words: string[]) => runCommand(deadLetters, [...words, '--url', url], byAdmin);
  const of = ['--consumer', 'warehouse', '--cause', 'http_500', '--type', '*.confirmed.v1', '--order', orderId];
  const filter = [...of, '--since', '2026-01-02T03:04:05Z', '--until', '1m'];
  const wanted = { consumerId, cause: 'http_500', type: '*.confirmed.v1', orderId, since: '2026-01-02T03:04:05.000Z' };
  expect((await ran('list', ...filter)).stdout).toContain(orderId);
  expect(asked('deadLetters.list')[0]?.[0]).toMatchObject(wanted);
  for (const by of ['cause', 'consumer', 'type']) {
    expect((await ran(...filter, '--group-by', by)).stdout).toContain('http_500');
  }
  expect((await ran('show', letterId)).stdout).toContain('"totalMinor": 1530');
  expect((await ran('retry', letterId, '--reason', 'x')).code).toBe(0);
  expect((await ran('discard', letterId, '--reason', 'x')).code).toBe(0);
  expect((await ran('retry', ...filter, '--dry-run')).stdout).toContain(' would be sent again');
  expect((await ran('retry', ...filter, '--rate', '0.5', '--reason', 'x')).stdout).toContain(redriveId);
  expect(asked('redrives.create')[0]?.[0]).toMatchObject({ filter: wanted, ratePerSecond: 0.5 });
  expect((await ran('retry', '--all')).code).toBe(0);
  expect((await ran('redrive')).stdout).toContain(redriveId);
  for (const wish of ['pause', 'resume', 'stop']) expect((await ran('redrive', redriveId, wish)).code).toBe(0);
  expect(asked('redrives.steer').map(([, wish]) => wish)).toEqual(['pause', 'resume', 'stop']);
});

test('the API looks at corrected data, and the command says what is wrong with them', async () => {
  const { asked, url } = await realApi();
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-edit-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'data.json');
  const edit = () =>
    runCommand(deadLetters, ['edit', letterId, '--data', file, '--reason', 'x', '--url', url], byAdmin);
  writeFileSync(file, '{"totalMinor": "a lot", "currency": "GBP"}');
  await expect(edit()).rejects.toThrow('/data/totalMinor');
  expect(asked('deadLetters.edit')).toEqual([]);
  writeFileSync(file, '{"totalMinor": 1530, "currency": "GBP"}');
  expect((await edit()).stdout).toContain('is sent corrected as event');
});
