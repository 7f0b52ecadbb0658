import { gzipSync } from 'node:zlib';
import { Webhook } from 'standardwebhooks';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { httpWebhooks } from '../../src/adapters/http/webhooks.ts';
import { createSender } from '../../src/delivery/sender.ts';
import type { AttemptResult } from '../../src/domain/delivery.ts';
import type { EventSender } from '../../src/domain/delivery-ports.ts';
import { waitFor } from '../support/wait.ts';
import { type Received, newEvent, newSecret, receiver, to } from '../support/webhook-receiver.ts';

const never = (): AbortSignal => new AbortController().signal;

function webhooks(timeoutMs = 10_000): EventSender {
  const sender = httpWebhooks({ timeoutMs, networks: ['127.0.0.0/8'] });
  onTestFinished(() => sender.close());
  return sender;
}

const sendTo = (url: string): Promise<AttemptResult> => webhooks().send(newEvent(), to(url), { signal: never() });

async function answered(status: number, headers: Record<string, string> = {}, body: string | Buffer = '') {
  const { url } = await receiver((_, response) => response.writeHead(status, headers).end(body));
  return sendTo(url);
}

function last(received: readonly Received[]): Received {
  const request = received.at(-1);
  if (request === undefined) throw new Error('nothing was received');
  return request;
}

/** The scheme's own library as the judge. */
function verify(secret: string, { headers, body }: Pick<Received, 'headers' | 'body'>): unknown {
  return new Webhook(secret).verify(body.toString('utf8'), headers as Record<string, string>);
}

describe('what is sent', () => {
  test('the exact bytes of the event, as a CloudEvent', async () => {
    const { url, received } = await receiver();
    const event = newEvent();
    expect(await webhooks().send(event, to(url), { signal: never() })).toMatchObject({ outcome: 'delivered' });
    expect(received).toMatchObject([
      {
        method: 'POST',
        path: '/hidden-path?token=hidden-query',
        headers: {
          'content-type': 'application/cloudevents+json; charset=utf-8',
          'user-agent': 'evenkeel/1',
          'accept-encoding': 'identity',
          'webhook-id': event.eventId,
        },
      },
    ]);
    expect(received[0]?.body).toEqual(Buffer.from(event.body));
  });

  test('signed with each secret, the current one first', async () => {
    const { url, received } = await receiver();
    const secrets = [newSecret(), newSecret()] as const;
    const event = newEvent();
    await webhooks().send(event, to(url, secrets), { signal: never() });
    const request = last(received);
    expect(secrets.map((secret) => verify(secret, request))).toEqual(secrets.map(() => JSON.parse(event.body)));
    const first = String(request.headers['webhook-signature']).split(' ')[0] ?? '';
    expect(
      verify(secrets[0], { ...request, headers: { ...request.headers, 'webhook-signature': first } }),
    ).toBeDefined();
    expect(() => verify(newSecret(), request)).toThrow('No matching signature');
  });

  test('so that no part can be changed unseen', async () => {
    const { url, received } = await receiver();
    const secret = newSecret();
    await webhooks().send(newEvent(), to(url, [secret]), { signal: never() });
    const request = last(received);
    const later = String(Number(request.headers['webhook-timestamp']) + 1);
    const changed = [
      { ...request, body: Buffer.from(request.body.toString('utf8').replace('confirmed', 'cancelled')) },
      { ...request, headers: { ...request.headers, 'webhook-id': 'another' } },
      { ...request, headers: { ...request.headers, 'webhook-timestamp': later } },
    ];
    for (const one of changed) expect(() => verify(secret, one)).toThrow('No matching signature');
  });

  test('under the same id and with a time of its own for every attempt', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    onTestFinished(() => void vi.useRealTimers());
    const { url, received } = await receiver();
    const sender = webhooks();
    const [event, secret] = [newEvent(), newSecret()];
    for (const time of ['2027-01-01T00:00:00.999Z', '2027-01-01T01:00:00.000Z']) {
      vi.setSystemTime(new Date(time));
      await sender.send(event, to(url, [secret]), { signal: never() });
      expect(verify(secret, last(received))).toBeDefined();
    }
    expect(received.map(({ headers }) => [headers['webhook-id'], headers['webhook-timestamp']])).toEqual([
      [event.eventId, '1798761600'],
      [event.eventId, '1798765200'],
    ]);
  });

  test('with the trace context of the event, where it has one', async () => {
    const { url, received } = await receiver();
    const sender = webhooks();
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await sender.send(newEvent({ traceparent }), to(url), { signal: never() });
    await sender.send(newEvent(), to(url), { signal: never() });
    expect(received.map(({ headers }) => headers['traceparent'])).toEqual([traceparent, undefined]);
  });

  test('one after the other over connections that are kept', async () => {
    const { url, connections } = await receiver((_, response) => response.end('thanks'));
    const sender = webhooks();
    for (const event of Array.from({ length: 10 }, () => newEvent())) {
      expect(await sender.send(event, to(url), { signal: never() })).toMatchObject({ outcome: 'delivered' });
    }
    // The second is made where one begins in the very moment in which the one before ends.
    expect(connections.length).toBeLessThanOrEqual(2);
  });

  test('over another connection where the consumer said that it is about to close this one', async () => {
    const { url, connections } = await receiver((_, response) =>
      response.writeHead(200, { 'keep-alive': 'timeout=1', connection: 'keep-alive' }).end('thanks'),
    );
    const sender = webhooks();
    for (const event of [newEvent(), newEvent()]) await sender.send(event, to(url), { signal: never() });
    expect(connections).toHaveLength(2);
  });

  test('at the same time, without waiting for each other', async () => {
    const waiting: (() => void)[] = [];
    const { url } = await receiver((_, response) => waiting.push(() => response.end()));
    const sender = webhooks();
    const sends = [newEvent(), newEvent(), newEvent()].map((event) => sender.send(event, to(url), { signal: never() }));
    await waitFor('all three being there together', () => waiting.length === 3);
    for (const go of waiting) go();
    expect(await Promise.all(sends)).toMatchObject(sends.map(() => ({ outcome: 'delivered' })));
  });

  test('straight to the consumer, whatever the environment says of proxies', async () => {
    const [target, proxy] = [await receiver(), await receiver()];
    for (const name of ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy']) {
      vi.stubEnv(name, `http://127.0.0.1:${proxy.port}`);
    }
    vi.stubEnv('NODE_USE_ENV_PROXY', '1');
    onTestFinished(() => void vi.unstubAllEnvs());
    expect(await sendTo(target.url)).toMatchObject({ outcome: 'delivered' });
    expect([target.received.length, proxy.connections.length]).toEqual([1, 0]);
  });

  test('by the sender for the kind of target', async () => {
    const calls: string[] = [];
    const named = (name: string): EventSender => ({
      send: () => Promise.reject(new Error(`sent by ${name}`)),
      close: async () => void calls.push(`${name} closed`),
    });
    const sender = createSender({ http: named('http'), amqp: named('amqp'), mail: named('mail') });
    const target = { kind: 'amqp', exchange: 'e', routingKey: null } as const;
    const attempt = { signal: never() };
    await expect(sender.send(newEvent(), to('https://x/'), attempt)).rejects.toThrow('sent by http');
    await expect(sender.send(newEvent(), { ...to(''), target }, attempt)).rejects.toThrow('sent by amqp');
    const customers = { kind: 'mail', from: null } as const;
    await expect(sender.send(newEvent(), { ...to(''), target: customers }, attempt)).rejects.toThrow('sent by mail');
    await sender.close();
    expect(calls.toSorted()).toEqual(['amqp closed', 'http closed', 'mail closed']);
  });
});

describe('what an answer means', () => {
  test.each([200, 201, 202, 204, 299])('%i is success', async (status) => {
    const startedBefore = Date.now();
    const result = await answered(status, { 'retry-after': '7' });
    expect(result).toMatchObject({ outcome: 'delivered', cause: null, status, error: null, retryAfterMs: null });
    expect(result.startedAt.getTime()).toBeGreaterThanOrEqual(startedBefore);
    expect(result.durationMs).toBeGreaterThanOrEqual(0);
  });

  test.each([300, 304, 400, 401, 404, 410, 418, 429, 500, 503, 599])('%i is a failure', async (status) => {
    const expected = { outcome: 'failed', cause: `http_${status}`, status, retryAfterMs: null };
    expect(await answered(status)).toMatchObject({ ...expected, error: expect.stringContaining(`answered ${status}`) });
  });

  test.each([301, 302, 303, 307, 308])('%i is a failure, and nobody goes where it leads', async (status) => {
    const inside = await receiver();
    const result = await answered(status, { location: inside.url });
    expect(result).toMatchObject({ outcome: 'failed', cause: `http_${status}` });
    expect(result.error).toContain('redirects are not followed');
    expect(inside.connections).toEqual([]);
  });

  test.each([429, 500, 503])('%i may say how long to wait, in seconds', async (status) => {
    expect(await answered(status, { 'retry-after': '120' })).toMatchObject({ retryAfterMs: 120_000 });
  });

  test('or until when', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: new Date('2027-01-01T00:00:00Z') });
    onTestFinished(() => void vi.useRealTimers());
    const result = await answered(503, { 'retry-after': 'Fri, 01 Jan 2027 00:01:00 GMT' });
    expect(result).toMatchObject({ retryAfterMs: 60_000 });
  });

  test('a wait that cannot be read is none', async () => {
    expect(await answered(503, { 'retry-after': 'soon' })).toMatchObject({ cause: 'http_503', retryAfterMs: null });
  });
});

describe('what is kept of an answer', () => {
  test('a short one as it is, with marks for what is no UTF-8', async () => {
    expect(await answered(200, {}, 'thank you, ✓')).toMatchObject({ answer: 'thank you, ✓' });
    expect(await answered(200, {}, Buffer.from([0x61, 0xff, 0x62, 0xc3]))).toMatchObject({
      answer: 'a\u{FFFD}b\u{FFFD}',
    });
    expect(await answered(204)).toMatchObject({ answer: '' });
  });

  test('the first 4 KiB, without a character that this cuts in two', async () => {
    const result = await answered(500, {}, `${'x'.repeat(4_095)}ß${'y'.repeat(10_000)}`);
    expect(result).toMatchObject({ cause: 'http_500', answer: 'x'.repeat(4_095) });
  });

  test.each([
    [200, 'delivered', null],
    [500, 'failed', 'http_500'],
  ])(
    '%i with an answer that never ends is read up to a limit and judged by its status',
    async (status, outcome, cause) => {
      let sent = 0;
      let closed = false;
      const { url } = await receiver((_, response) => {
        response.writeHead(status).on('close', () => (closed = true));
        const more = (): void => {
          while (!response.destroyed && response.write('z'.repeat(16_384))) sent += 16_384;
        };
        response.on('drain', more);
        more();
      });
      expect(await sendTo(url)).toMatchObject({ outcome, cause, status, answer: 'z'.repeat(4_096) });
      await waitFor('the connection being closed', () => closed);
      // What the system's buffers took, and no more.
      expect(sent).toBeLessThan(32 * 1024 * 1024);
    },
  );

  test('its size alone where it is compressed, although that was not asked for', async () => {
    const bomb = gzipSync(Buffer.alloc(20_000_000));
    const result = await answered(200, { 'content-encoding': 'gzip' }, bomb);
    expect(result).toMatchObject({ outcome: 'delivered', answer: expect.stringMatching(/^\(\d+ bytes of gzip\)$/) });
    expect(bomb.length).toBeLessThan(64 * 1024);
    expect(result.answer).toBe(`(${bomb.length} bytes of gzip)`);
  });
});
