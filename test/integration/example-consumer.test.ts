/** The consumer that users read before they write their own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { freePort } from '../../src/embedded/ports.ts';
import { waitFor } from '../support/wait.ts';

const PROGRAM = join(import.meta.dirname, '../../examples/consumer/consumer.ts');
const secret = `whsec_${Buffer.from('a secret of twenty-four b').toString('base64')}`;

let folder: string;
let url: string;
let child: ChildProcess;

async function start(): Promise<void> {
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  const env = { PORT: String(port), STORE: join(folder, 'events.db'), WEBHOOK_SECRET: secret };
  child = spawn(process.execPath, [PROGRAM], { env, stdio: 'ignore' });
  await waitFor('the consumer answers', () =>
    fetch(`${url}/receipts`).then(
      ({ ok }) => ok,
      () => false,
    ),
  );
}

async function kill(): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'evenkeel-consumer-'));
  await start();
});
afterEach(async () => {
  await kill();
  rmSync(folder, { recursive: true, force: true });
});

interface Sent {
  readonly id: string;
  readonly subject?: string;
  readonly sequence?: number;
  readonly type?: string;
}

async function send({ id, subject = 'o1', sequence = 1, type = 'evenkeel.order.created.v1' }: Sent, at = new Date()) {
  const body = JSON.stringify({ id, type, subject, sequence: String(sequence).padStart(10, '0') });
  const { status } = await fetch(url, {
    method: 'POST',
    body,
    headers: {
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': new Webhook(secret).sign(id, at, body),
    },
  });
  return status;
}

async function receipts(): Promise<{ eventId: string; sequence: number; late: number }[]> {
  const text = await (await fetch(`${url}/receipts`)).text();
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { eventId: string; sequence: number; late: number });
}

test('keeps an event once, however often it comes, and over its own death', async () => {
  expect(await send({ id: 'e1' })).toBe(204);
  expect(await send({ id: 'e1' })).toBe(204);
  await kill();
  await start();
  expect(await send({ id: 'e1' })).toBe(204);
  expect(await receipts()).toMatchObject([{ eventId: 'e1', late: 0 }]);
});

test('tells an event that comes after its successor, and still keeps it', async () => {
  await send({ id: 'e1', sequence: 1 });
  await send({ id: 'e3', sequence: 3 });
  await send({ id: 'e2', sequence: 2 });
  await send({ id: 'other', subject: 'o2', sequence: 2 });
  expect((await receipts()).map(({ eventId, late }) => [eventId, late])).toEqual([
    ['e1', 0],
    ['e3', 0],
    ['e2', 1],
    ['other', 0],
  ]);
});

test('tells a corrected event, with the number of the original that it had taken after all', async () => {
  await send({ id: 'e5', sequence: 5 });
  await send({ id: 'e5-corrected', sequence: 5 });
  await send({ id: 'e5', sequence: 5 });
  await send({ id: 'e6', sequence: 6 });
  expect((await receipts()).map(({ eventId, late }) => [eventId, late])).toEqual([
    ['e5', 0],
    ['e5-corrected', 1],
    ['e6', 0],
  ]);
});

test('refuses what is not signed with its secret, or is an old message sent again', async () => {
  const { status } = await fetch(url, { method: 'POST', body: '{"id":"forged"}' });
  expect(status).toBe(401);
  expect(await send({ id: 'old' }, new Date(Date.now() - 6 * 60_000))).toBe(401);
  expect(await receipts()).toEqual([]);
});

test('acknowledges a test event and keeps nothing of it', async () => {
  expect(await send({ id: 'ping', type: 'evenkeel.ping.v1' })).toBe(204);
  expect(await receipts()).toEqual([]);
});
