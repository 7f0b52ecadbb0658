import { createHash } from 'node:crypto';
import type { ApiKeys, Authenticator, TokenVerifier } from '../domain/access-ports.ts';
import type { Identity } from '../domain/access.ts';
import { DomainFailure } from '../domain/failures.ts';

/** A revoked key works no longer than this. */
const REMEMBERED_MS = 5_000;
const MOST_REMEMBERED = 1_000;

/**
 * Tells API keys, by the store, which it asks once in a few seconds for each key that is in use, and tokens, by their
 * issuer's keys. Without `tokens` there are only API keys.
 */
export function createAuthenticator(
  keys: Pick<ApiKeys, 'find'>,
  tokens?: TokenVerifier,
  now = () => performance.now(),
): Authenticator {
  const known = new Map<string, { readonly identity: Identity; readonly until: number }>();

  return {
    async authenticate(token) {
      if (!token.startsWith('ek_')) {
        if (tokens === undefined)
          throw new DomainFailure('unauthenticated', 'this is no API key: those begin with ek_');
        return tokens.verify(token);
      }
      // Looked up by what tells nothing of the key, however long a comparison takes.
      const digest = createHash('sha256').update(token).digest('base64');
      const remembered = known.get(digest);
      if (remembered !== undefined && remembered.until > now()) return remembered.identity;
      known.delete(digest);
      const identity = await keys.find(token);
      if (identity === undefined) {
        throw new DomainFailure('unauthenticated', 'this API key is none of ours, was revoked or has expired');
      }
      // The oldest goes: a Map keeps the order in which its keys came.
      const [oldest] = known.keys();
      if (known.size >= MOST_REMEMBERED && oldest !== undefined) known.delete(oldest);
      known.set(digest, { identity, until: now() + REMEMBERED_MS });
      return identity;
    },
  };
}
