import { createHmac } from 'node:crypto';

const PREFIX = 'whsec_';

/**
 * The headers of the Standard Webhooks scheme (https://www.standardwebhooks.com): the id stays the same over all
 * attempts, the time is the attempt's, and there is a signature by each secret, so that a consumer may change from one
 * to the next. A secret is `whsec_` and the key in base64.
 */
export function signedHeaders(
  { id, body, nowMs }: { readonly id: string; readonly body: Uint8Array; readonly nowMs: number },
  secrets: readonly string[],
): Readonly<Record<string, string>> {
  const timestamp = String(Math.floor(nowMs / 1000));
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret, 'base64');
    return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')}`;
  });
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') };
}
