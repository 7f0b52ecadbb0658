import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { type Payload, type PayloadCodec, ValueError } from '@temporalio/common';
import type { KeyRing, PayloadKey } from './key-ring.ts';

const ENCRYPTED = 'binary/encrypted';
const KEY_ID = 'encryption-key-id';
const CIPHER = 'aes-256-gcm';
/** What GCM is made for: NIST SP 800-38D, 8.2.2. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const LENGTH_BYTES = 4;

/**
 * Encrypts each payload by itself: nonce, ciphertext, tag. Bound to the namespace and the key's id as associated data,
 * and to no workflow, since the Web UI asks about payloads without saying whose they are. What was written before
 * encryption was on is read as it is. Without keys nothing is encrypted, and what is encrypted is refused by its key's
 * name. Throws `ValueError` for a payload that cannot be decrypted.
 */
export function createPayloadCodec(namespace: string, ring: KeyRing | undefined): PayloadCodec {
  const keys = new Map((ring ?? []).map((key) => [key.id, key]));
  return {
    encode: (payloads) => Promise.resolve(ring === undefined ? payloads : payloads.map((one) => seal(one, ring[0]))),
    // In a promise of its own, so that what is thrown rejects.
    decode: async (payloads) => payloads.map(open),
  };

  function seal(payload: Payload, key: PayloadKey): Payload {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, key.bytes, nonce).setAAD(associated(key.id));
    const data = Buffer.concat([nonce, cipher.update(toBytes(payload)), cipher.final(), cipher.getAuthTag()]);
    return { metadata: { encoding: Buffer.from(ENCRYPTED), [KEY_ID]: Buffer.from(key.id) }, data };
  }

  function open(payload: Payload): Payload {
    if (textOf(payload.metadata?.['encoding']) !== ENCRYPTED) return payload;
    const id = textOf(payload.metadata?.[KEY_ID]);
    const key = keys.get(id);
    if (key === undefined) {
      const have = keys.size === 0 ? 'there is none here' : `here are ${[...keys.keys()].join(', ')}`;
      throw new ValueError(
        `a payload was encrypted with the key '${id}', which is not in EVENKEEL_PAYLOAD_KEYS (${have}); put it back, behind the first one, for as long as Temporal keeps what it encrypted`,
      );
    }
    const data = Buffer.from(payload.data ?? []);
    try {
      const decipher = createDecipheriv(CIPHER, key.bytes, data.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
      decipher.setAAD(associated(id)).setAuthTag(data.subarray(-TAG_BYTES));
      return fromBytes(Buffer.concat([decipher.update(data.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]));
    } catch (cause) {
      throw new ValueError(
        `a payload cannot be decrypted with the key '${id}': it was changed, or encrypted in another namespace than '${namespace}' or with another key of that name`,
        cause,
      );
    }
  }

  /** Ids have no blank, so that no two pairs make the same bytes. */
  function associated(keyId: string): Buffer {
    return Buffer.from(`${keyId} ${namespace}`);
  }
}

/** The length of the metadata, the metadata as JSON, the data as they are. Of no data protobuf.js makes an array. */
function toBytes({ metadata, data }: Payload): Buffer {
  const entries = Object.entries(metadata ?? {}).map(([name, value]) => [name, Buffer.from(value).toString('base64')]);
  const head = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(head.length);
  return Buffer.concat([length, head, Buffer.from(data ?? [])]);
}

function fromBytes(bytes: Buffer): Payload {
  const dataFrom = LENGTH_BYTES + bytes.readUInt32BE();
  const head = JSON.parse(bytes.toString('utf8', LENGTH_BYTES, dataFrom)) as Readonly<Record<string, string>>;
  const metadata = Object.entries(head).map(([name, value]) => [name, Buffer.from(value, 'base64')]);
  return { metadata: Object.fromEntries(metadata) as Record<string, Buffer>, data: bytes.subarray(dataFrom) };
}

function textOf(bytes: Uint8Array | null | undefined): string {
  return Buffer.from(bytes ?? []).toString('utf8');
}
