import type { ApiKeys, Authenticator } from '../domain/access-ports.ts';
import type { Identity } from '../domain/access.ts';
import { DomainFailure } from '../domain/failures.ts';

/** A revoked key works no longer than this. */
const REMEMBERED_MS = 5_000;
const MOST_REMEMBERED = 1_000;

/** Tells API keys by the store, which it asks once in a few seconds for each key that is in use. */
export function createAuthenticator(keys: Pick<ApiKeys, 'find'>, now = () => performance.now()): Authenticator {
  const known = new Map<string, { readonly identity: Identity; readonly until: number }>();

  return {
    async authenticate(token) {
      const remembered = known.get(token);
      if (remembered !== undefined && remembered.until > now()) return remembered.identity;
      known.delete(token);
      const identity = await keys.find(token);
      if (identity === undefined) {
        throw new DomainFailure('unauthenticated', 'this API key is none of ours, was revoked or has expired');
      }
      // The oldest goes: a Map keeps the order in which its keys came.
      const [oldest] = known.keys();
      if (known.size >= MOST_REMEMBERED && oldest !== undefined) known.delete(oldest);
      known.set(token, { identity, until: now() + REMEMBERED_MS });
      return identity;
    },
  };
}
