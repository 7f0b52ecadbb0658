import type { LookupAddress } from 'node:dns';
import type { ServerResponse } from 'node:http';
import tls from 'node:tls';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { httpWebhooks } from '../../src/adapters/http/webhooks.ts';
import type { AttemptResult } from '../../src/domain/delivery.ts';
import { authority, expiredHooksTest, hooksTest, hooksTestKey } from '../support/certificates.ts';
import { waitFor } from '../support/wait.ts';
import { closedPort, newEvent, newSecret, receiver, socketServer, to } from '../support/webhook-receiver.ts';

const key = hooksTestKey;
const never = (): AbortSignal => new AbortController().signal;

/** One attempt; every name leads to 127.0.0.1. */
async function attempt(url: string, { timeoutMs = 10_000, signal = never() } = {}): Promise<AttemptResult> {
  const resolve = () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]);
  const sender = httpWebhooks({ timeoutMs, networks: ['127.0.0.0/8'], resolve });
  onTestFinished(() => sender.close());
  const secret = newSecret();
  const result = await sender.send(newEvent(), to(url, [secret]), { signal });
  for (const hidden of ['hidden-path', 'hidden-query', secret]) expect(result.error ?? '').not.toContain(hidden);
  return result;
}

const failed = (cause: string) => ({ outcome: 'failed', cause, status: null, answer: null, retryAfterMs: null });

/** Long enough for a busy machine to get there, and no longer than one likes to wait for what never comes. */
const impatient = { timeoutMs: 1_000 };

describe('without any answer', () => {
  test('a consumer that never answers has timed out, and its connection is given up', async () => {
    const { url, connections } = await receiver(() => undefined);
    const result = await attempt(url, impatient);
    expect(result).toMatchObject({
      ...failed('timeout'),
      error: expect.stringMatching(/^no answer from \S+ in time$/),
    });
    await waitFor('the connection being closed', () => connections.every(({ destroyed }) => destroyed));
  });

  test('a caller that gives up ends the attempt', async () => {
    const { url, received } = await receiver(() => undefined);
    const caller = new AbortController();
    const result = attempt(url, { signal: caller.signal });
    await waitFor('the webhook to arrive', () => received.length === 1);
    caller.abort();
    expect(await result).toMatchObject({
      ...failed('timeout'),
      error: expect.stringContaining('before the attempt was given up'),
    });
  });

  test('a port that nobody listens on refuses the connection', async () => {
    const result = await attempt(`http://127.0.0.1:${await closedPort()}/`);
    expect(result).toMatchObject({ ...failed('connection_refused'), error: expect.stringContaining('refuses') });
  });

  test.each(['end', 'resetAndDestroy'] as const)('a connection that is gone without a word (%s) broke', async (how) => {
    const { url } = await socketServer((socket) => socket.once('data', () => socket[how]()));
    expect(await attempt(url)).toMatchObject(failed('connection_broken'));
  });

  test.each([
    ['another protocol', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['a wrong status', 'HTTP/1.1 abc OK\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello'],
    ['headers without end', `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(20_000)}`],
    ['an upgrade that nobody asked for', 'HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'],
  ])('%s is a bad answer', async (_name, answer) => {
    const { url } = await socketServer((socket) => socket.once('data', () => socket.write(answer)));
    expect(await attempt(url)).toMatchObject(failed('bad_answer'));
  });
});

test('what was given up before there was a connection is not sent once there is one', async () => {
  const { port, received } = await receiver();
  const gate = Promise.withResolvers<LookupAddress[]>();
  const sender = httpWebhooks({ timeoutMs: 10_000, networks: ['127.0.0.0/8'], resolve: () => gate.promise });
  onTestFinished(() => sender.close());
  const caller = new AbortController();
  const destination = to(`http://hooks.test:${port}/`);
  const first = sender.send(newEvent(), destination, { signal: caller.signal });
  caller.abort();
  expect(await first).toMatchObject({
    ...failed('connection_broken'),
    error: expect.stringContaining('no connection'),
  });
  gate.resolve([{ address: '127.0.0.1', family: 4 }]);
  const second = newEvent();
  expect(await sender.send(second, destination, { signal: never() })).toMatchObject({ outcome: 'delivered' });
  expect(received.map(({ headers }) => headers['webhook-id'])).toEqual([second.eventId]);
});

describe('closing', () => {
  test('lets an attempt under way come to its end', async () => {
    const waiting: ServerResponse[] = [];
    const { url } = await receiver((_, response) => waiting.push(response));
    const sender = httpWebhooks({ timeoutMs: 10_000, networks: ['127.0.0.0/8'] });
    const result = sender.send(newEvent(), to(url), { signal: never() });
    const response = await waitFor('the webhook to arrive', () => waiting[0]);
    const closed = sender.close();
    response.writeHead(202).end();
    expect(await result).toMatchObject({ outcome: 'delivered', status: 202 });
    await closed;
  });

  test('does not wait for a connection that nobody wants any more', async () => {
    const resolve = () => new Promise<never>(() => undefined);
    const sender = httpWebhooks({ timeoutMs: 60_000, networks: [], resolve });
    const caller = new AbortController();
    const result = sender.send(newEvent(), to('https://hooks.test/'), { signal: caller.signal });
    caller.abort();
    expect(await result).toMatchObject(failed('connection_broken'));
    await sender.close();
  });
});

describe('with half an answer', () => {
  const began = (status: number, then: (response: ServerResponse) => void) =>
    receiver((_, response) => {
      response.writeHead(status, { 'content-length': '1000', 'retry-after': '9' });
      response.write('well', () => then(response));
    });

  test('a success that hangs is none', async () => {
    const { url } = await began(200, () => undefined);
    expect(await attempt(url, impatient)).toMatchObject({
      outcome: 'failed',
      cause: 'timeout',
      status: 200,
      answer: 'well',
      error: expect.stringContaining('answered 200, but the answer did not end in time'),
    });
  });

  test('a success that trickles does not outlive the time-out', async () => {
    const { url } = await receiver((_, response) => {
      response.writeHead(200);
      const drop = setInterval(() => response.write('.'), 20);
      response.on('close', () => clearInterval(drop));
    });
    expect(await attempt(url, impatient)).toMatchObject({ outcome: 'failed', cause: 'timeout', status: 200 });
  });

  test('a success that breaks off is none', async () => {
    const { url } = await began(200, (response) => response.destroy());
    const expected = { outcome: 'failed', cause: 'connection_broken', status: 200, answer: 'well' };
    expect(await attempt(url)).toMatchObject(expected);
  });

  test.each([
    'content-length: 1000',
    'transfer-encoding: chunked',
    'transfer-encoding: chunked\r\nconnection: close',
    'content-length: 1000\r\nconnection: close',
  ])('nor is one that ends too early, its length given by %s', async (header) => {
    const { url } = await socketServer((socket) =>
      socket.once('data', () => socket.end(`HTTP/1.1 200 OK\r\n${header}\r\n\r\n4\r\nwell\r\n`)),
    );
    expect(await attempt(url)).toMatchObject({ outcome: 'failed', cause: 'connection_broken', status: 200 });
  });

  test.each([
    ['hangs', () => undefined],
    ['breaks off', (response: ServerResponse) => void response.destroy()],
  ])('a failure that %s is what it said it was', async (_name, then) => {
    const { url } = await began(503, then);
    const expected = { outcome: 'failed', cause: 'http_503', status: 503, answer: 'well', retryAfterMs: 9_000 };
    expect(await attempt(url, impatient)).toMatchObject(expected);
  });
});

describe('over TLS', () => {
  const trust = () => {
    const before = tls.getCACertificates('default');
    tls.setDefaultCACertificates([...before, authority]);
    onTestFinished(() => tls.setDefaultCACertificates(before));
  };

  test('a certificate by a trusted authority for this name is fine', async () => {
    trust();
    const { port, received } = await receiver(undefined, { cert: hooksTest, key });
    expect(await attempt(`https://hooks.test:${port}/hidden-path`)).toMatchObject({
      outcome: 'delivered',
      status: 204,
    });
    expect(received).toMatchObject([{ path: '/hidden-path', headers: { host: `hooks.test:${port}` } }]);
  });

  test('one by an unknown authority is not', async () => {
    const { port, received } = await receiver(undefined, { cert: hooksTest, key });
    const result = await attempt(`https://hooks.test:${port}/hidden-path`);
    expect(result).toMatchObject({ ...failed('tls_failed'), error: expect.stringContaining('UNABLE_TO_VERIFY') });
    expect(received).toEqual([]);
  });

  test('nor where the environment trusts all', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    onTestFinished(() => void vi.unstubAllEnvs());
    const { port, received } = await receiver(undefined, { cert: hooksTest, key });
    expect(await attempt(`https://hooks.test:${port}/`)).toMatchObject(failed('tls_failed'));
    expect(received).toEqual([]);
  });

  test.each(['https://other.test', 'https://127.0.0.1'])('one for another name is none for %s', async (origin) => {
    trust();
    const { port, received } = await receiver(undefined, { cert: hooksTest, key });
    const result = await attempt(`${origin}:${port}/hidden-path`);
    expect(result).toMatchObject({ ...failed('tls_failed'), error: expect.stringContaining('ALTNAME_INVALID') });
    expect(received).toEqual([]);
  });

  test('one that has expired is not fine', async () => {
    trust();
    const { port, received } = await receiver(undefined, { cert: expiredHooksTest, key });
    const result = await attempt(`https://hooks.test:${port}/`);
    expect(result).toMatchObject({ ...failed('tls_failed'), error: expect.stringContaining('CERT_HAS_EXPIRED') });
    expect(received).toEqual([]);
  });

  test('a handshake without end is no connection', async () => {
    const { port } = await socketServer(() => undefined);
    const result = await attempt(`https://hooks.test:${port}/`, impatient);
    expect(result).toMatchObject({ ...failed('connection_broken'), error: expect.stringContaining('no connection') });
  });

  test('a server that speaks plain HTTP fails by TLS, and one that wants TLS gives plain HTTP a bad time', async () => {
    const [plain, secure] = [await receiver(), await receiver(undefined, { cert: hooksTest, key })];
    expect(await attempt(`https://hooks.test:${plain.port}/`)).toMatchObject(failed('tls_failed'));
    expect(await attempt(`http://hooks.test:${secure.port}/`)).toMatchObject({ outcome: 'failed' });
    expect([...plain.received, ...secure.received]).toEqual([]);
  });
});
