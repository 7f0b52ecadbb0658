import { createHmac, timingSafeEqual } from 'node:crypto';
import { ApiProblem } from './problems.ts';

export interface SignedMessage {
  readonly id: string | undefined;
  /** Seconds since 1970, as text. */
  readonly timestamp: string | undefined;
  /** One or more of `v1,<base64>`, separated by spaces. */
  readonly signature: string | undefined;
  readonly body: Buffer;
}

/** Older ones may be replays of what was listened to. */
const windowSeconds = 5 * 60;

/**
 * Verifies a message by the Standard Webhooks scheme (https://www.standardwebhooks.com): HMAC-SHA256 over
 * `id.timestamp.body`, with the UTF-8 bytes of `secret` as the key. Throws `invalid_header` for a header that is
 * missing or malformed, `signature_invalid` for a wrong signature or one more than five minutes old or early.
 */
export function verifySignature(message: SignedMessage, secret: string, now: Date): void {
  const id = wanted('webhook-id', message.id, /^[!-~]{1,200}$/, 'must be 1 to 200 printable characters');
  const timestamp = wanted('webhook-timestamp', message.timestamp, /^\d{1,12}$/, 'must be in seconds since 1970');
  const signatures = wanted(
    'webhook-signature',
    message.signature,
    /^[!-~]+,[!-~]+( [!-~]+,[!-~]+)*$/,
    "must be one or more of 'v1,<base64>', separated by spaces",
  );
  const expected = sign({ id, timestamp, body: message.body }, secret);
  const known = signatures.split(' ').some((candidate) => {
    const [version, value = ''] = candidate.split(',', 2);
    return version === 'v1' && equal(Buffer.from(value, 'base64'), expected);
  });
  if (!known)
    throw refusal('webhook-signature matches neither this body nor our secret; check the secret on both sides');
  const ageSeconds = Math.abs(now.getTime() / 1000 - Number(timestamp));
  if (ageSeconds > windowSeconds) {
    throw refusal(`webhook-timestamp ${timestamp} is over five minutes away from our clock; sign each attempt afresh`);
  }
}

/** The raw HMAC of a message. */
export function sign(message: { id: string; timestamp: string; body: Buffer }, secret: string): Buffer {
  return createHmac('sha256', secret).update(`${message.id}.${message.timestamp}.`).update(message.body).digest();
}

function equal(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}

function wanted(name: string, value: string | undefined, form: RegExp, otherwise: string): string {
  if (value !== undefined && form.test(value)) return value;
  const detail = value === undefined ? 'is missing' : otherwise;
  throw new ApiProblem('invalid_header', `${name} ${detail}`, { errors: [{ parameter: name, detail }] });
}

function refusal(detail: string): ApiProblem {
  return new ApiProblem('signature_invalid', detail, { headers: { 'www-authenticate': 'StandardWebhooks' } });
}
