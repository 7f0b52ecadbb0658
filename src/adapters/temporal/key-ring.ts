import { createHmac } from 'node:crypto';

export interface PayloadKey {
  /** Stands in the clear beside what it encrypted. */
  readonly id: string;
  readonly bytes: Buffer;
}

/** Keys by their age in use: the first one encrypts, all decrypt. */
export type KeyRing = readonly [PayloadKey, ...PayloadKey[]];

/** Of AES-256. */
const KEY_BYTES = 32;
/** In base64 these would be 48 bytes, which no key has. */
const HEX = /^[0-9a-fA-F]{64}$/;

/**
 * Reads `id:` and 32 bytes in base64 or hex each, separated by commas. Throws `RangeError` that names the bad one by its id or
 * place, and repeats nothing of any key.
 */
export function parseKeyRing(text: string): KeyRing {
  const keys = text.split(',').map((part, index): PayloadKey => {
    const [, id, written] = /^([\w.-]{1,64}):([A-Za-z0-9+/]+=*)$/.exec(part.trim()) ?? [];
    if (id === undefined || written === undefined) {
      throw new RangeError(`key ${index + 1} is not as id:base64, with an id of up to 64 letters, digits, . _ or -`);
    }
    const bytes = Buffer.from(written, HEX.test(written) ? 'hex' : 'base64');
    if (bytes.length !== KEY_BYTES) {
      throw new RangeError(`key '${id}' has ${bytes.length} bytes and needs ${KEY_BYTES}: 'openssl rand -base64 32'`);
    }
    return { id, bytes };
  });
  const twice = keys.find(({ id }, index) => keys.findIndex((other) => other.id === id) !== index);
  if (twice !== undefined) throw new RangeError(`two keys have the id '${twice.id}'`);
  const [first, ...rest] = keys;
  if (first === undefined) throw new RangeError('there is no key');
  return [first, ...rest];
}

/**
 * What a customer who was forgotten is recognized by, and cannot be found by without a key: HMAC-SHA-256, under a key
 * derived from each of the ring, the one to keep first. None without keys: a hash that anybody can make is no secret.
 */
export function customerHashes(ring: KeyRing | undefined): (customerId: string) => readonly string[] {
  const keys = (ring ?? []).map(({ bytes }) => createHmac('sha256', bytes).update('evenkeel erasure').digest());
  return (customerId) => keys.map((key) => createHmac('sha256', key).update(customerId).digest('hex'));
}
