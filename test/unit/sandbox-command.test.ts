import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { run } from '../../src/commands/sandbox.ts';

function io(env: Record<string, string> = {}) {
  const stop = new AbortController();
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  return { stdout, stderr, env, signal: stop.signal, stop: () => stop.abort() };
}

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'evenkeel-sandbox-'));
  onTestFinished(async () => rm(path, { recursive: true }));
  return path;
}

describe('evenkeel sandbox', () => {
  test('says where it listens, takes delays of -1, and ends with 0 when it is stopped', async () => {
    const { stop, ...streams } = io();
    const code = run(['--data', await folder(), '--dispatch-after', '-1', '--deliver-after', '250'], streams);
    const [line] = (await streams.stdout.iterator({ destroyOnReturn: false }).next()).value.toString().split('\n');
    const url = /^sandbox listening on (http:\/\/127\.0\.0\.1:\d+)$/.exec(line)?.[1];
    expect(await (await fetch(`${url}/carrier/settings`)).json()).toEqual({
      dispatchAfterMs: -1,
      deliverAfterMs: 250,
      callbackUrl: null,
    });
    stop();
    expect(await code).toBe(0);
    await expect(fetch(`${url}/livez`)).rejects.toThrow('fetch failed');
  });

  test('takes the secret from the environment', async () => {
    const { stop, ...streams } = io({ CARRIER_CALLBACK_SECRET: 'sixteen characters' });
    stop();
    expect(await run(['--data', await folder(), '--callback-url', 'http://127.0.0.1:1/'], streams)).toBe(0);
  });

  test.each([
    [[], '--data is missing'],
    [['--data', 'd', '--port', '70000'], "--port: '70000' is no whole number from 0 to 65535"],
    [['--data', 'd', '--dispatch-after', '-2'], "--dispatch-after: '-2'"],
    [['--data', 'd', '--deliver-after', '1.5'], "--deliver-after: '1.5'"],
    [['--data', 'd', '--callback-url', 'nowhere'], "--callback-url: 'nowhere' is no URL"],
    [['--data', 'd', '--callback-url', 'http://a/', '--callback-secret', 'short'], 'at least 16 characters'],
    [['--prot', '1'], '--prot'],
  ])('refuses %j and says why', async (args, message) => {
    await expect(run(args, io())).rejects.toMatchObject({
      name: 'UsageError',
      message: expect.stringContaining(message),
    });
  });

  test('says which port is taken', async () => {
    const { stop, ...streams } = io();
    const first = run(['--data', await folder()], streams);
    const [line] = (await streams.stdout.iterator({ destroyOnReturn: false }).next()).value.toString().split('\n');
    const port = new URL(line.replace('sandbox listening on ', '')).port;
    await expect(run(['--data', await folder(), '--port', port], io())).rejects.toThrow(
      `cannot listen on 127.0.0.1:${port}`,
    );
    stop();
    await first;
  });

  test('explains every option', async () => {
    const { stdout, ...streams } = io();
    expect(await run(['--help'], { ...streams, stdout })).toBe(0);
    const help = await text(stdout.end());
    for (const option of ['--data', '--host', '--port', '--callback-url', '--dispatch-after', '--deliver-after']) {
      expect(help).toContain(option);
    }
  });
});
