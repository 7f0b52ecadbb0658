import { createServer } from 'node:http';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { main } from '../../src/cli.ts';
import { runCommand } from './submit-api.ts';

const record = {
  id: 'a-1',
  at: '2026-01-02T03:04:05.000Z',
  actor: 'key:abc',
  roles: ['operator'],
  action: 'pauseConsumer',
  outcome: 'denied',
  subject: '/v1/consumers/c-1/pause',
  reason: null,
  traceId: null,
};

let url: string;
let asked: string[];
const server = createServer((request, response) => {
  asked.push(request.url ?? '');
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ data: [{ ...record, reason: 'bad\u001b[31m' }], nextCursor: null }));
});
beforeEach(async () => {
  asked = [];
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  url = `http://127.0.0.1:${address.port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

const log = (...words: string[]) => runCommand(main, ['audit', 'log', '--url', url, ...words]);

describe('evenkeel audit log', () => {
  test.each([
    [['--outcome', 'maybe'], "not 'maybe'"],
    [['--since', 'lately'], "not 'lately'"],
    [['--limit', '0'], "not '0'"],
    [['events'], "'events' is one word too many"],
  ])('refuses %j', async (words, why) => {
    expect(await log(...words)).toMatchObject({ code: 2, stderr: expect.stringContaining(why) });
    expect(asked).toEqual([]);
  });

  test('asks for what the words say, and shows no control characters', async () => {
    const { code, stdout } = await log('--outcome', 'denied', '--actor', 'key:abc', '--since', '2026-01-01T00:00:00Z');
    expect(code).toBe(0);
    expect(asked).toEqual(['/v1/audit?actor=key%3Aabc&outcome=denied&since=2026-01-01T00%3A00%3A00.000Z&limit=20']);
    expect(stdout).toBe(
      '2026-01-02T03:04:05.000Z  key:abc  denied  pauseConsumer  /v1/consumers/c-1/pause  bad [31m\n',
    );
  });

  test('gives all of each as JSON', async () => {
    expect(JSON.parse((await log('--json')).stdout)).toEqual([{ ...record, reason: 'bad\u001b[31m' }]);
  });
});
