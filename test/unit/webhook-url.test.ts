import { BlockList, isIP, isIPv4 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { contains, notPublic, parseAddress, parseNetwork, unmapped } from '../../src/domain/ip-address.ts';
import { addressProblem, targetProblem } from '../../src/domain/webhook-url.ts';

const address = (text: string) => parseAddress(text) ?? expect.unreachable(`${text} is an address`);
const nothing: readonly string[] = [];
const loopback = ['127.0.0.0/8', '::1/128'];
const here = new URL('https://hooks.example/');

/** Each block's first and last address, with the nearest public ones outside where there are any. */
const refused = [
  ['this host', '0.0.0.0', '0.255.255.255'],
  ['private (RFC 1918)', '10.0.0.0', '10.255.255.255'],
  ['private (RFC 1918)', '172.16.0.0', '172.31.255.255'],
  ['private (RFC 1918)', '192.168.0.0', '192.168.255.255'],
  ['shared (RFC 6598)', '100.64.0.0', '100.127.255.255'],
  ['loopback', '127.0.0.0', '127.255.255.255'],
  ['link-local, with the metadata of clouds', '169.254.0.0', '169.254.169.254', '169.254.255.255'],
  ['for protocols', '192.0.0.0', '192.0.0.255'],
  ['TEST-NET', '192.0.2.0', '192.0.2.255', '198.51.100.0', '198.51.100.255', '203.0.113.0', '203.0.113.255'],
  ['relays of 6to4', '192.88.99.0', '192.88.99.255'],
  ['benchmarks', '198.18.0.0', '198.19.255.255'],
  ['multicast', '224.0.0.0', '239.255.255.255'],
  ['reserved, and broadcast', '240.0.0.0', '255.255.255.255'],
  ['unspecified', '::'],
  ['loopback', '::1'],
  ['IPv4-compatible', '::127.0.0.1', '::8.8.8.8'],
  ['translated', '::ffff:0:127.0.0.1', '::ffff:0:8.8.8.8'],
  ['NAT64 for local use', '64:ff9b:1::', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff'],
  ['discard-only', '100::', '100::ffff:ffff:ffff:ffff'],
  ['Teredo', '2001::', '2001:0:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['benchmarks', '2001:2::1'],
  ['ORCHID', '2001:10::1', '2001:20::1'],
  ['the last one for protocols', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['documentation', '2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', '3fff::', '3fff:fff:ffff::1'],
  ['not given out', '4000::', '5f00::1', '1fff:ffff::1'],
  ['unique local', 'fc00::', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['link-local', 'fe80::', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['site-local', 'fec0::1'],
  ['multicast', 'ff00::', 'ff02::1'],
  ['IPv4-mapped', '::ffff:127.0.0.1', '::ffff:a00:1', '::FFFF:169.254.169.254'],
  ['NAT64', '64:ff9b::127.0.0.1', '64:ff9b::a9fe:a9fe'],
  ['6to4', '2002:7f00:1::', '2002:a00:1::1', '2002:c0a8:101:ffff::1'],
] satisfies [string, ...string[]][];

const allowed = [
  '1.1.1.1',
  '9.255.255.255',
  '11.0.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '126.255.255.255',
  '128.0.0.0',
  '169.253.255.255',
  '169.255.0.0',
  '172.15.255.255',
  '172.32.0.0',
  '191.255.255.255',
  '192.0.1.0',
  '192.0.3.0',
  '192.88.98.255',
  '192.88.100.0',
  '192.167.255.255',
  '192.169.0.0',
  '198.17.255.255',
  '198.20.0.0',
  '198.51.99.255',
  '198.51.101.0',
  '203.0.112.255',
  '203.0.114.0',
  '223.255.255.255',
  '2000::1',
  '2001:200::',
  '2001:db7:ffff::1',
  '2001:db9::',
  '2606:4700::1111',
  '3ffe:ffff::1',
  '3fff:1000::1',
  '::ffff:1.1.1.1',
  '64:ff9b::1.1.1.1',
  '2002:101:101::1',
];

describe('addresses', () => {
  test.each(refused)('%s: refused', (_name, ...addresses) => {
    const problems = addresses.map((one) => addressProblem(one, here, []));
    expect(problems).toEqual(addresses.map((one) => expect.stringContaining(`${one} is refused, because`)));
  });

  test.each(allowed)('%s is public', (one) => {
    expect(addressProblem(one, here, [])).toBeUndefined();
  });

  test.each(['', 'localhost', '1.2.3', '1.2.3.4.5', '01.2.3.4', '1.2.3.256', '0x1.2.3.4', '1.2.3.-4', '1.2.3.4 '])(
    "'%s', which is no address, is refused rather than guessed at",
    (text) => {
      expect(parseAddress(text)).toBeUndefined();
      expect(addressProblem(text, here, [parseNetwork('0.0.0.0/0'), parseNetwork('::/0')])).toContain('no address');
    },
  );

  test.each([
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4::5:6:7:8',
    '1:2:3:4:5:6:7:8:9',
    ':1',
    '1:',
    '12345::',
    'g::',
    'fe80::1%lo',
    '::1.2.3',
  ])("'%s' is no IPv6 address", (text) => expect(parseAddress(text)).toBeUndefined());

  test.each([
    ['::', '::/128 is this host'],
    ['::1', '::1/128 is loopback'],
    ['64:ff9b:1::1', '64:ff9b:1::/48 is for translation within a network'],
    ['fd00::1', 'fc00::/7 is private'],
    ['fe80::1', 'fe80::/10 is link-local'],
    ['fec0::1', 'fec0::/10 is site-local'],
    ['ff02::1', 'ff00::/8 is multicast'],
    ['4000::1', 'it is outside of 2000::/3'],
  ])('the refusal of %s says why: %s', (text, why) => expect(notPublic(address(text))).toBe(why));

  test('every address that Node knows is read, and as the same number', () => {
    const any = fc.oneof(fc.ipV4(), fc.ipV6()).filter((text) => isIP(text) !== 0);
    fc.assert(
      fc.property(any, (text) => {
        const list = new BlockList();
        list.addAddress(text, isIPv4(text) ? 'ipv4' : 'ipv6');
        const { family, value } = address(text);
        const digits = value.toString(16).padStart(32, '0');
        const again =
          family === 6
            ? (digits.match(/.{4}/g) ?? []).join(':')
            : [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.');
        expect(list.check(again, family === 4 ? 'ipv4' : 'ipv6')).toBe(true);
      }),
    );
  });

  test('no address is in a network by one rule and outside by that of Node', () => {
    const v4 = fc.tuple(fc.ipV4(), fc.ipV4(), fc.integer({ min: 0, max: 32 }));
    const v6 = fc.tuple(fc.ipV6(), fc.ipV6(), fc.integer({ min: 0, max: 128 }));
    // Node's list unmaps by itself, which is what is not wanted here.
    const pure = fc.oneof(v4, v6).filter(([one, base]) => !`${one} ${base}`.includes('::ffff:'));
    fc.assert(
      fc.property(pure, fc.boolean(), ([one, base, prefix], same) => {
        const tried = same ? base : one;
        const family = isIPv4(base) ? 'ipv4' : 'ipv6';
        const list = new BlockList();
        list.addSubnet(base, prefix, family);
        expect(contains(parseNetwork(`${base}/${prefix}`), address(tried))).toBe(list.check(tried, family));
      }),
    );
  });

  test('whatever carries an IPv4 address is judged by it', () => {
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        const high = (address(text).value >> 16n).toString(16);
        const low = (address(text).value & 0xffffn).toString(16);
        const verdict = notPublic(address(text));
        const carriers = [`::ffff:${text}`, `64:ff9b::${text}`, `2002:${high}:${low}::1`];
        expect(carriers.map((carrier) => notPublic(unmapped(address(carrier))))).toEqual(carriers.map(() => verdict));
      }),
    );
  });

  test.each(['10.0.0.0', '10.0.0.0/33', '::/129', '10.0.0.0/-1', '10.0.0.0/8/8', 'x/8', '/8', '10.0.0.0/'])(
    "'%s' is no network",
    (text) => expect(() => parseNetwork(text)).toThrow(`'${text}' is no network in CIDR form`),
  );
});

describe('URLs', () => {
  test.each([
    ['not a url', 'is no URL'],
    ['https://', 'is no URL'],
    ['ftp://hooks.example/', 'must begin with https://, not ftp:'],
    ['file:///etc/passwd', 'must begin with https://, not file:'],
    ['javascript:alert(1)', 'must begin with https://'],
    ['https://user@hooks.example/', 'must not contain a user'],
    ['https://:word@hooks.example/', 'must not contain a user'],
    ['https://hooks.example/#part', 'must not contain a fragment'],
    ['http://hooks.example/', 'must be https on port 443 or 8443'],
    ['https://hooks.example:444/', 'must be https on port 443 or 8443'],
    ['https://hooks.example:22/', 'EVENKEEL_WEBHOOK_NETWORKS'],
    ['http://1.1.1.1/', 'only https on port 443 or 8443'],
    ['https://1.1.1.1:80/', 'only https on port 443 or 8443'],
  ])('%s: %s', (url, problem) => expect(targetProblem(url, nothing)).toContain(problem));

  test.each([
    'https://127.0.0.1/',
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f.1/',
    'https://0177.0.0.1/',
    'https://0x7f000001/',
    'https://017700000001/',
    'https://127.0.0.1./',
    'https://127。0。0。1/',
    'https://%31%32%37.0.0.1/',
    'https://①②⑦.0.0.1/',
    'https://0/',
    'https://[::]/',
    'https://[::1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:7f00:1]/',
    'https://[0:0:0:0:0:ffff:7f00:1]/',
    'https://[::127.0.0.1]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[2002:7f00:1::]/',
    'https://[fe80::1]/',
    'https://169.254.169.254/latest/meta-data/',
    'https://[fd00:ec2::254]/',
    'https://10.0.0.1:8443/',
  ])('%s leads inside, however it is written', (url) => {
    expect(targetProblem(url, nothing)).toContain('must not go there: ');
  });

  test.each([
    'https://hooks.example/a?b=c',
    'https://hooks.example:8443/',
    'https://hooks.example./',
    'https://1.1.1.1',
  ])('%s is fine', (url) => expect(targetProblem(url, nothing)).toBeUndefined());

  test.each(['http://127.0.0.1:9000/', 'http://[::1]:9000/', 'https://127.255.0.1/', 'http://[::ffff:127.0.0.1]:1/'])(
    '%s is fine where its network is allowed',
    (url) => expect(targetProblem(url, loopback)).toBeUndefined(),
  );

  test.each(['http://10.0.0.1/', 'http://1.1.1.1/', 'http://[::2]/', 'http://[fe80::1]/', 'http://[::127.0.0.1]/'])(
    '%s is refused where another network is allowed',
    (url) => expect(targetProblem(url, loopback)).toContain('is refused'),
  );

  test('a name may be plain http where any network is allowed: what it stands for is seen at the connection', () => {
    expect(targetProblem('http://hooks.internal:8080/', loopback)).toBeUndefined();
  });

  test('all of IPv6 allowed does not open IPv4 by a detour', () => {
    expect(targetProblem('https://[::ffff:127.0.0.1]/', ['::/0'])).toContain('127.0.0.0/8 is loopback');
    expect(targetProblem('https://[64:ff9b::10.0.0.1]/', ['::/0'])).toContain('10.0.0.0/8 is private');
  });

  test('no problem quotes user, password, path or query', () => {
    const urls = [
      'https://sesame:sesame@x/sesame',
      'ftp://x/sesame',
      'http://x/sesame?sesame',
      'https://10.0.0.1/sesame',
    ];
    for (const url of urls) expect(targetProblem(url, nothing)).not.toContain('sesame');
  });
});
