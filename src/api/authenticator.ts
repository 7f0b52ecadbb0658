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
  const known = remembered<Identity>(now);
  /** Apart, so that whoever guesses drives nobody out. */
  const refused = remembered<true>(now);
  const asking = new Map<string, Promise<Identity | undefined>>();

  async function ask(digest: string, token: string): Promise<Identity | undefined> {
    try {
      const identity = await keys.find(token);
      if (identity === undefined) refused.set(digest, true);
      else known.set(digest, identity);
      return identity;
    } finally {
      asking.delete(digest);
    }
  }

  /** Many that come at the same time ask once. */
  function find(digest: string, token: string): Promise<Identity | undefined> {
    const asked = asking.get(digest) ?? ask(digest, token);
    asking.set(digest, asked);
    return asked;
  }

  return {
    async authenticate(token) {
      if (!token.startsWith('ek_')) {
        if (tokens === undefined)
          throw new DomainFailure('unauthenticated', 'this is no API key: those begin with ek_');
        return tokens.verify(token);
      }
      // Looked up by what tells nothing of the key, however long a comparison takes.
      const digest = createHash('sha256').update(token).digest('base64');
      const identity = known.get(digest) ?? (refused.get(digest) === true ? undefined : await find(digest, token));
      if (identity === undefined) {
        throw new DomainFailure('unauthenticated', 'this API key is none of ours, was revoked or has expired');
      }
      return identity;
    },
  };
}

interface Remembered<T> {
  get(digest: string): T | undefined;
  set(digest: string, value: T): void;
}

function remembered<T>(now: () => number): Remembered<T> {
  const values = new Map<string, { readonly value: T; readonly until: number }>();
  return {
    get(digest) {
      const found = values.get(digest);
      if (found !== undefined && found.until > now()) return found.value;
      values.delete(digest);
      return undefined;
    },
    set(digest, value) {
      // The oldest goes: a Map keeps the order in which its keys came.
      const [oldest] = values.keys();
      if (values.size >= MOST_REMEMBERED && oldest !== undefined) values.delete(oldest);
      values.set(digest, { value, until: now() + REMEMBERED_MS });
    },
  };
}
