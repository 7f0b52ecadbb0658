/** IP addresses and networks as numbers, and which of them are public. Pure: `node:net` is not for this room. */

export interface IpAddress {
  readonly family: 4 | 6;
  readonly value: bigint;
}

/** What an address and the first `prefix` bits of `base` have in common. */
export interface Network {
  readonly base: IpAddress;
  readonly prefix: number;
}

const widths = { 4: 32, 6: 128 } as const;

/** Undefined for whatever is no address in its common form: octal and short IPv4, and zones such as `%eth0`, included. */
export function parseAddress(text: string): IpAddress | undefined {
  const family = text.includes(':') ? 6 : 4;
  const value = family === 6 ? parseV6(text) : parseV4(text);
  return value === undefined ? undefined : { family, value };
}

/** A network in CIDR form. Throws `RangeError` for anything else. */
export function parseNetwork(text: string): Network {
  const [address = '', length = '', ...rest] = text.split('/');
  const base = parseAddress(address);
  const prefix = /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN;
  if (base === undefined || rest.length > 0 || !(prefix <= widths[base.family])) {
    throw new RangeError(`'${text}' is no network in CIDR form such as 10.1.0.0/16`);
  }
  return { base, prefix };
}

export function contains({ base, prefix }: Network, { family, value }: IpAddress): boolean {
  const rest = BigInt(widths[base.family] - prefix);
  return family === base.family && value >> rest === base.value >> rest;
}

const mapped = parseNetwork('::ffff:0:0/96');
const nat64 = parseNetwork('64:ff9b::/96');
const sixToFour = parseNetwork('2002::/16');

/**
 * The IPv4 address that a connection to this one ends at, where IPv6 only carries it: IPv4-mapped (RFC 4291), NAT64
 * (RFC 6052) or 6to4 (RFC 3056). Any other address is itself.
 */
export function unmapped(address: IpAddress): IpAddress {
  if (contains(mapped, address) || contains(nat64, address)) return v4(address.value);
  return contains(sixToFour, address) ? v4(address.value >> 80n) : address;
}

/**
 * What is not public, from the registries of IANA:
 * https://www.iana.org/assignments/iana-ipv4-special-registry and …/iana-ipv6-special-registry, and the multicast ones.
 * A block is here as a whole where only some of it is reachable by all (192.0.0.0/24, 2001::/23): no webhook lives there.
 */
const special = [
  ['0.0.0.0/8', 'this host'],
  ['10.0.0.0/8', 'private'],
  ['100.64.0.0/10', 'shared by the customers of a carrier'],
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link-local, where clouds keep credentials'],
  ['172.16.0.0/12', 'private'],
  ['192.0.0.0/24', 'for protocols'],
  ['192.0.2.0/24', 'for documentation'],
  ['192.88.99.0/24', 'the former relays of 6to4'],
  ['192.168.0.0/16', 'private'],
  ['198.18.0.0/15', 'for benchmarks'],
  ['198.51.100.0/24', 'for documentation'],
  ['203.0.113.0/24', 'for documentation'],
  ['224.0.0.0/4', 'multicast'],
  ['240.0.0.0/4', 'reserved'],
  ['::/128', 'this host'],
  ['::1/128', 'loopback'],
  ['64:ff9b:1::/48', 'for translation within a network'],
  ['2001::/23', 'for protocols and tunnels'],
  ['2001:db8::/32', 'for documentation'],
  ['3fff::/20', 'for documentation'],
  ['fc00::/7', 'private'],
  ['fe80::/10', 'link-local'],
  ['fec0::/10', 'site-local'],
  ['ff00::/8', 'multicast'],
] as const;
const blocks = special.map(([cidr, name]) => ({ cidr, name, network: parseNetwork(cidr) }));
/** All that is given out so far; IPv6 outside is reserved. */
const globalUnicast = parseNetwork('2000::/3');

/** Why an address is not one of the public internet; undefined if it is. Expects it unmapped. */
export function notPublic(address: IpAddress): string | undefined {
  const block = blocks.find(({ network }) => contains(network, address));
  if (block !== undefined) return `${block.cidr} is ${block.name}`;
  return address.family === 6 && !contains(globalUnicast, address) ? 'it is outside of 2000::/3' : undefined;
}

function v4(value: bigint): IpAddress {
  return { family: 4, value: BigInt.asUintN(32, value) };
}

function parseV4(text: string): bigint | undefined {
  const parts = text.split('.');
  // A leading zero means octal to some and nothing to others.
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) {
    return undefined;
  }
  return parts.reduce((value, part) => value * 256n + BigInt(part), 0n);
}

function parseV6(text: string): bigint | undefined {
  const [, front = '', dotted] = /^(.*:)([^:]*\.[^:]*)$/.exec(text) ?? [];
  if (dotted !== undefined) {
    const last = parseV4(dotted);
    return last === undefined
      ? undefined
      : parseV6(`${front}${(last >> 16n).toString(16)}:${(last & 0xffffn).toString(16)}`);
  }
  const [head = '', tail, ...rest] = text.split('::');
  const before = groups(head);
  const after = groups(tail ?? '');
  const missing = 8 - before.length - after.length;
  if (rest.length > 0 || (tail === undefined ? missing !== 0 : missing < 1)) return undefined;
  const all = [...before, ...Array.from({ length: missing }, () => '0'), ...after];
  if (!all.every((group) => /^[\da-f]{1,4}$/i.test(group))) return undefined;
  return BigInt(`0x${all.map((group) => group.padStart(4, '0')).join('')}`);
}

function groups(text: string): readonly string[] {
  return text === '' ? [] : text.split(':');
}
