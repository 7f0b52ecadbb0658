import type { LookupAddress } from 'node:dns';
import { describe, expect, onTestFinished, test } from 'vitest';
import { AddressRefused, guardedAgent } from '../../src/adapters/http/webhook-connector.ts';
import type { Resolve } from '../../src/adapters/http/webhook-names.ts';
import { httpWebhooks } from '../../src/adapters/http/webhooks.ts';
import type { AttemptResult } from '../../src/domain/delivery.ts';
import { closedPort, newEvent, receiver, to } from '../support/webhook-receiver.ts';

const one = '127.0.0.1';
const attempt = () => ({ signal: new AbortController().signal });

const addresses = (...list: string[]): LookupAddress[] =>
  list.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));

/** A name server with these answers, one after the other, the last one for ever; notes what it was asked. */
function names(...answers: readonly (readonly string[] | Error)[]): { resolve: Resolve; asked: string[] } {
  const asked: string[] = [];
  const resolve: Resolve = async (hostname) => {
    const answer = answers[Math.min(asked.push(hostname), answers.length) - 1] ?? [];
    if (answer instanceof Error) throw answer;
    return addresses(...answer);
  };
  return { resolve, asked };
}

function sender(networks: readonly string[], resolve: Resolve) {
  const webhooks = httpWebhooks({ timeoutMs: 10_000, networks, resolve });
  onTestFinished(() => webhooks.close());
  return (url: string): Promise<AttemptResult> => webhooks.send(newEvent(), to(url), attempt());
}

const refused = { outcome: 'failed', cause: 'address_refused', status: null, answer: null };

describe('a name', () => {
  test.each([
    one,
    '::1',
    '10.0.0.1',
    '169.254.169.254',
    '::ffff:127.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    'fe80::1%lo',
  ])('that stands for %s is refused by default', async (address) => {
    const result = await sender([], names([address]).resolve)('https://hooks.test/hidden-path');
    expect(result).toMatchObject({ ...refused, error: expect.stringContaining(`hooks.test: ${address} is`) });
    expect(result.error).not.toContain('hidden-path');
  });

  test('that stands for an address outside of the networks allowed gets no connection', async () => {
    const inside = await receiver();
    const result = await sender(['10.0.0.0/8'], names([one]).resolve)(`http://hooks.test:${inside.port}/`);
    expect(result).toMatchObject({ ...refused, error: expect.stringContaining('127.0.0.0/8 is loopback') });
    expect(inside.connections).toEqual([]);
  });

  test('with a public and a refused address is refused altogether', async () => {
    const inside = await receiver();
    for (const list of [
      [one, '10.0.0.1'],
      ['10.0.0.1', one],
      ['::1', one],
    ]) {
      const result = await sender(['127.0.0.0/8'], names(list).resolve)(`http://hooks.test:${inside.port}/`);
      expect(result).toMatchObject(refused);
    }
    expect(inside.connections).toEqual([]);
  });

  test('is looked up once for a connection, which goes to what was checked, whatever the next answer is', async () => {
    const inside = await receiver();
    const { resolve, asked } = names([one], ['127.0.0.2']);
    expect(await sender(['127.0.0.1/32'], resolve)(`http://hooks.test:${inside.port}/`)).toMatchObject({
      outcome: 'delivered',
    });
    expect(asked).toEqual(['hooks.test']);
    expect(inside.connections.map(({ localAddress }) => localAddress)).toEqual([one]);
  });

  test('is looked up and checked again for the next connection', async () => {
    const inside = await receiver((_, response) => response.writeHead(200, { connection: 'close' }).end());
    const { resolve, asked } = names([one], ['127.0.0.2']);
    const send = sender(['127.0.0.1/32'], resolve);
    expect(await send(`http://hooks.test:${inside.port}/`)).toMatchObject({ outcome: 'delivered' });
    expect(await send(`http://hooks.test:${inside.port}/`)).toMatchObject(refused);
    expect([asked.length, inside.connections.length]).toEqual([2, 1]);
  });

  test('keeps its dot at the end, and does not get around the check with it', async () => {
    const { resolve, asked } = names([one]);
    expect(await sender([], resolve)('https://hooks.test./')).toMatchObject(refused);
    expect(asked).toEqual(['hooks.test.']);
  });

  test.each(['http://hooks.test/', 'https://hooks.test:444/', 'http://hooks.test:443/'])(
    'that turns out to be public is refused for %s',
    async (url) => {
      const result = await sender(['127.0.0.0/8'], names(['1.1.1.1']).resolve)(url);
      expect(result).toMatchObject({ ...refused, error: expect.stringContaining('only https on port 443 or 8443') });
    },
  );

  test('with an address that does not answer is reached at another', async () => {
    const inside = await receiver();
    const unbound = '127.0.0.2';
    const result = await sender(['127.0.0.0/8'], names([unbound, one]).resolve)(`http://hooks.test:${inside.port}/`);
    expect(result).toMatchObject({ outcome: 'delivered' });
  });

  test('of which no address takes connections has refused them', async () => {
    const url = `http://hooks.test:${await closedPort()}/`;
    const result = await sender(['127.0.0.0/8'], names([one, '127.0.0.2']).resolve)(url);
    expect(result).toMatchObject({ outcome: 'failed', cause: 'connection_refused' });
  });

  test.each([
    ['is unknown', Object.assign(new Error('getaddrinfo ENOTFOUND hooks.test'), { code: 'ENOTFOUND' }), 'ENOTFOUND'],
    ['cannot be asked for', Object.assign(new Error('getaddrinfo EAI_AGAIN'), { code: 'EAI_AGAIN' }), 'EAI_AGAIN'],
    ['has no address', [], 'has no address'],
  ])('that %s is a failure of DNS', async (_name, answer, words) => {
    const result = await sender([], names(answer).resolve)('https://hooks.test/');
    expect(result).toMatchObject({ outcome: 'failed', cause: 'dns_failed', error: expect.stringContaining(words) });
    expect(result.error).toContain('hooks.test');
  });

  test('is looked up once for all who wait for it', async () => {
    const inside = await receiver();
    const gate = Promise.withResolvers<LookupAddress[]>();
    const asked: string[] = [];
    const send = sender(['127.0.0.0/8'], (hostname) => {
      asked.push(hostname);
      return gate.promise;
    });
    const sends = [1, 2, 3, 4, 5].map(() => send(`http://hooks.test:${inside.port}/`));
    gate.resolve(addresses(one));
    expect(await Promise.all(sends)).toMatchObject(sends.map(() => ({ outcome: 'delivered' })));
    expect(asked).toEqual(['hooks.test']);
  });

  test('that takes for ever to look up cannot be reached, which is not the fault of the event', async () => {
    const webhooks = httpWebhooks({ timeoutMs: 200, networks: [], resolve: () => new Promise(() => undefined) });
    const result = await webhooks.send(newEvent(), to('https://hooks.test/'), attempt());
    expect(result).toMatchObject({ outcome: 'failed', cause: 'connection_broken', status: null });
    expect(result.error).toContain('no connection to hooks.test in time');
    await webhooks.close();
  });
});

describe('an address instead of a name', () => {
  test.each([
    'http://127.0.0.1',
    'http://2130706433',
    'http://0x7f.1',
    'http://0177.0.0.1',
    'http://[::ffff:127.0.0.1]',
  ])('%s is refused without a connection or a look-up', async (origin) => {
    const inside = await receiver();
    const { resolve, asked } = names([one]);
    expect(await sender(['10.0.0.0/8'], resolve)(`${origin}:${inside.port}/`)).toMatchObject(refused);
    expect([inside.connections, asked]).toEqual([[], []]);
  });

  test('is refused by the connection itself too, whoever asks for it', async () => {
    const inside = await receiver();
    const agent = guardedAgent({ timeoutMs: 10_000, allowed: [] });
    const request = agent.request({ origin: `http://127.0.0.1:${inside.port}`, path: '/', method: 'GET' });
    await expect(request).rejects.toBeInstanceOf(AddressRefused);
    expect(inside.connections).toEqual([]);
    await agent.close();
  });

  test('is fine in a network that is allowed, without any look-up', async () => {
    const inside = await receiver();
    const { resolve, asked } = names(new Error('not to be asked'));
    expect(await sender(['127.0.0.0/8'], resolve)(inside.url)).toMatchObject({ outcome: 'delivered' });
    expect(asked).toEqual([]);
  });
});

describe('a URL that was kept before the rules changed', () => {
  test.each(['ftp://hooks.test/', 'http://hooks.test/', 'https://user:word@hooks.test/', 'nonsense'])(
    '%s is refused at the attempt, in words',
    async (url) => {
      const result = await sender([], names([one]).resolve)(url);
      expect(result).toMatchObject({ ...refused, error: expect.stringContaining("the consumer's URL") });
      expect(result.error).not.toContain('word@');
    },
  );

  test('a network that is none is found at the start', () => {
    expect(() => httpWebhooks({ timeoutMs: 1, networks: ['10.0.0.0'] })).toThrow("'10.0.0.0' is no network");
  });
});
