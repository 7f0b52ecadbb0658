import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type NameOptions, systemNames } from '../../src/adapters/http/webhook-names.ts';
import { httpWebhooks } from '../../src/adapters/http/webhooks.ts';
import { type Names, nameServer } from '../support/name-server.ts';
import { waitFor } from '../support/wait.ts';
import { newEvent, receiver, to } from '../support/webhook-receiver.ts';

const never = (): AbortSignal => new AbortController().signal;

/** The text of a file, and where it is while the test runs. */
function file(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-names-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'file'), text);
  return join(folder, 'file');
}

async function names(known: Names, files: Pick<NameOptions, 'hostsFile' | 'resolverFile'> = {}) {
  const { address, asked } = await nameServer(known);
  const resolve = systemNames({ servers: [address], hostsFile: file(''), resolverFile: file(''), ...files });
  const addressesOf = async (name: string): Promise<string[]> =>
    (await resolve(name, never())).map((found) => found.address);
  return { resolve, addressesOf, asked };
}

describe('silent name servers', () => {
  const silent = Array.from({ length: 16 }, (_, index) => `x${index}.dead.test`);
  const known = { ...Object.fromEntries(silent.map((name) => [name, 'silent' as const])), 'alive.test': ['127.0.0.1'] };

  test('of any number of consumers hold up nobody else', async () => {
    const inside = await receiver();
    const { resolve, asked } = await names(known);
    const webhooks = httpWebhooks({ timeoutMs: 60_000, networks: ['127.0.0.0/8'], resolve });
    const given = new AbortController();
    let ended = 0;
    const dead = silent.map((name) =>
      webhooks.send(newEvent(), to(`http://${name}:${inside.port}/`), given).finally(() => (ended += 1)),
    );
    await waitFor('all of them being asked for', () => silent.every((name) => asked.includes(`${name} A`)));
    const alive = await webhooks.send(newEvent(), to(`http://alive.test:${inside.port}/`), { signal: never() });
    expect([alive.outcome, ended]).toEqual(['delivered', 0]);
    given.abort();
    expect(new Set((await Promise.all(dead)).map(({ cause }) => cause))).toEqual(new Set(['connection_broken']));
    await webhooks.close();
  });

  test('are asked no longer than the look-up may last', async () => {
    const { resolve, asked } = await names(known);
    const over = new AbortController();
    const lookup = resolve('x1.dead.test', over.signal);
    await waitFor('the question', () => asked.length === 2);
    over.abort();
    await expect(lookup).rejects.toMatchObject({ code: 'ECANCELLED' });
    await expect(resolve('x1.dead.test', over.signal)).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('that are silent about IPv6 alone do not hide the other addresses', async () => {
    const { addressesOf } = await names({ 'half.test': 'no-aaaa' });
    expect(await addressesOf('half.test')).toEqual(['127.0.0.1']);
  });
});

describe('a name', () => {
  test('has all of its addresses', async () => {
    const { addressesOf, asked } = await names({ 'shop.test': ['1.1.1.1', '10.0.0.1'] });
    expect((await addressesOf('shop.test')).toSorted()).toEqual(['1.1.1.1', '10.0.0.1']);
    expect(asked.toSorted()).toEqual(['shop.test A', 'shop.test AAAA']);
  });

  test('that is unknown is told from one without an address', async () => {
    const { addressesOf } = await names({ 'empty.test': [] });
    await expect(addressesOf('unknown.test')).rejects.toMatchObject({ code: 'ENOTFOUND' });
    expect(await addressesOf('empty.test')).toEqual([]);
  });

  test('in the hosts file stands for what is there, and nobody is asked', async () => {
    const hostsFile = file('# ours\n10.0.0.7 Shop.test www.shop.test # one\n::1\tshop.test\nnonsense shop.test\n');
    const { addressesOf, asked } = await names({ 'shop.test': ['1.1.1.1'] }, { hostsFile });
    expect(await addressesOf('shop.TEST')).toEqual(['10.0.0.7', '::1']);
    expect(await addressesOf('www.shop.test.')).toEqual(['10.0.0.7']);
    expect(asked).toEqual([]);
  });

  test.each(['localhost', 'localhost.', 'shop.localhost'])('%s is this host, whatever the files say', async (name) => {
    const { addressesOf, asked } = await names({}, { hostsFile: '/nowhere/hosts' });
    expect(await addressesOf(name)).toEqual(['127.0.0.1', '::1']);
    expect(asked).toEqual([]);
  });

  test('is looked for in the domains of the search list once it is not known as it is', async () => {
    const resolverFile = file('nameserver 10.0.0.1\nsearch one.test two.test. .\noptions ndots:5\n');
    const known = { 'shop.default.two.test': ['10.0.0.9'], 'whole.test': ['1.1.1.1'], 'whole.test.one.test': [] };
    const { addressesOf, asked } = await names(known, { resolverFile });
    expect(await addressesOf('shop.default')).toEqual(['10.0.0.9']);
    expect(await addressesOf('whole.test')).toEqual(['1.1.1.1']);
    await expect(addressesOf('shop.default.')).rejects.toMatchObject({ code: 'ENOTFOUND' });
    expect(asked.filter((one) => one.endsWith(' A'))).toEqual([
      'shop.default A',
      'shop.default.one.test A',
      'shop.default.two.test A',
      'whole.test A',
      'shop.default A',
    ]);
  });
});
