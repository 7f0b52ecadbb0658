import { type JWTVerifyGetKey, type RemoteJWKSet, createRemoteJWKSet, customFetch } from 'jose';
import { z } from 'zod';
import { DomainFailure } from '../../domain/failures.ts';

export interface IssuerOptions {
  /** As in `iss`. */
  readonly issuer: string;
  /** Default: what the issuer's discovery document names. */
  readonly jwksUrl?: string | undefined;
  /** After an answer or a failure of the issuer, it is not asked for an unknown key again for so long. Default 10 s. */
  readonly cooldownMs?: number;
}

const COOLDOWN_MS = 10_000;
/** What the issuer withdrew is believed no longer than this, while it answers. */
const REFRESH_MS = 10 * 60_000;
/** An issuer that is away for longer might have withdrawn any key. */
const LONGEST_MS = 24 * 3_600_000;
const TIMEOUT_MS = 5_000;
const LARGEST_BYTES = 1024 * 1024;

const discovery = z.object({ issuer: z.string(), jwks_uri: z.url() });
const keySet = z.object({ keys: z.array(z.looseObject({})) });

/**
 * The issuer's public keys, by the key id of a token. A key that is not known is asked for, once in a while; those that
 * are known work for a day without the issuer. Throws `identity_unavailable` where it must be asked and does not answer.
 */
export function issuerKeys({ issuer, jwksUrl, cooldownMs = COOLDOWN_MS }: IssuerOptions): JWTVerifyGetKey {
  let keys: RemoteJWKSet | undefined;
  let opening: Promise<RemoteJWKSet> | undefined;
  let refreshedAt = Number.NEGATIVE_INFINITY;
  let awayUntil = Number.NEGATIVE_INFINITY;

  function failed(cause: unknown): DomainFailure {
    awayUntil = performance.now() + cooldownMs;
    return away(cause);
  }

  async function ask<T>(url: string, answer: z.ZodType<T>, signal = AbortSignal.timeout(TIMEOUT_MS)): Promise<T> {
    if (performance.now() < awayUntil) throw away();
    try {
      const response = await fetch(url, { headers: { accept: 'application/json' }, redirect: 'error', signal });
      if (response.status !== 200) throw new Error(`${url} answered ${response.status}`);
      return answer.parse(JSON.parse(await bounded(response)));
    } catch (error) {
      throw failed(error);
    }
  }

  async function discovered(): Promise<string> {
    const url = `${issuer.replace(/\/+$/, '')}/.well-known/openid-configuration`;
    const found = await ask(url, discovery);
    // Section 4.3 of OpenID Connect Discovery; and who is asked over TLS does not send us elsewhere.
    if (found.issuer !== issuer) throw failed(new Error(`${url} is of the issuer ${found.issuer}`));
    if (issuer.startsWith('https:') && !found.jwks_uri.startsWith('https:')) {
      throw failed(new Error(`${url} names keys without TLS`));
    }
    return found.jwks_uri;
  }

  async function open(): Promise<RemoteJWKSet> {
    return createRemoteJWKSet(new URL(jwksUrl ?? (await discovered())), {
      cooldownDuration: cooldownMs,
      cacheMaxAge: LONGEST_MS,
      async [customFetch](url, { signal }) {
        const found = await ask(url, keySet, signal);
        refreshedAt = performance.now();
        return Response.json(found);
      },
    });
  }

  /** One looks for all that wait: a flood of tokens after a start is none of questions. */
  function opened(): Promise<RemoteJWKSet> {
    opening ??= open().finally(() => {
      opening = undefined;
    });
    return opening;
  }

  return async (header, token) => {
    keys ??= await opened();
    // In the background: those that are known go on working meanwhile, whatever comes of it.
    if (keys.jwks() !== undefined && performance.now() - refreshedAt > REFRESH_MS) {
      keys.reload().catch(() => undefined);
    }
    return await keys(header, token);
  };
}

function away(cause?: unknown): DomainFailure {
  return new DomainFailure('identity_unavailable', 'who issues the tokens does not answer; try again in a moment', {
    cause,
  });
}

async function bounded(response: Response): Promise<string> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > LARGEST_BYTES) throw new Error(`${response.url} answers with more than ${LARGEST_BYTES} bytes`);
  }
  return text;
}
