import { type JWTPayload, errors, jwtVerify } from 'jose';
import type { TokenVerifier } from '../../domain/access-ports.ts';
import { type Identity, isRole } from '../../domain/access.ts';
import { DomainFailure } from '../../domain/failures.ts';
import { type IssuerOptions, issuerKeys } from './issuer-keys.ts';

export interface TokenOptions extends IssuerOptions {
  /** One that tokens must name in `aud`. */
  readonly audience: string;
  /** A claim's name, or a path of names: `realm_access.roles`. Its value is a list, or words with spaces between. */
  readonly rolesClaim: string;
  /** The claim whose token is a customer's own. */
  readonly customerClaim: string;
}

/** With a public key only: of those with a shared one, whoever knows the public key could make tokens. */
const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
/** Clocks are never quite the same. */
const TOLERANCE_S = 5;

/** Verifies tokens (JWT, RFC 7519) of one OpenID Connect issuer by its published keys, each time they are shown. */
export function createTokenVerifier(options: TokenOptions): TokenVerifier {
  const { issuer, audience } = options;
  const keys = issuerKeys(options);
  return {
    async verify(token) {
      try {
        const { payload } = await jwtVerify(token, keys, {
          algorithms,
          issuer,
          audience,
          clockTolerance: TOLERANCE_S,
          requiredClaims: ['exp', 'sub'],
        });
        return identityOf(payload, options);
      } catch (error) {
        throw asFailure(error);
      }
    },
  };
}

function identityOf(payload: JWTPayload, { issuer, rolesClaim, customerClaim }: TokenOptions): Identity {
  const { sub }: { readonly sub?: unknown } = payload;
  // OpenID Connect Core, section 2: at most 255 ASCII characters. It goes into records and logs.
  if (typeof sub !== 'string' || !/^[\x20-\x7e]{1,255}$/.test(sub))
    throw refused('its `sub` is no text of 1 to 255 printable ASCII characters');
  const roles = wordsOf(claimOf(payload, rolesClaim)).filter(isRole);
  const caller = `${issuer}#${sub}`;
  const customerId = claimOf(payload, customerClaim);
  if (customerId === undefined) return { caller, roles };
  // Never taken for one that is nobody's own, whatever else it says.
  if (typeof customerId !== 'string' || !/^[^\p{Cc}]{1,100}$/u.test(customerId)) {
    throw refused(`its claim ${customerClaim} is no customer's id`);
  }
  return { caller, roles, customerId };
}

/** By the whole name first: names of claims may be URLs, which have dots. */
function claimOf(payload: object, name: string): unknown {
  if (Object.hasOwn(payload, name)) return (payload as Record<string, unknown>)[name];
  let value: unknown = payload;
  for (const part of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

function wordsOf(claim: unknown): readonly string[] {
  const words: readonly unknown[] = typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : [];
  return words.filter((word) => typeof word === 'string');
}

/** What is wrong with the token is its bearer's to hear; anything else is the issuer's, or ours. */
function asFailure(error: unknown): DomainFailure {
  if (error instanceof DomainFailure) return error;
  if (error instanceof errors.JWTExpired) return refused('it has expired; get a new one');
  if (error instanceof errors.JWTClaimValidationFailed) return refused(`its claim ${error.claim} is not as it must be`);
  if (error instanceof errors.JOSEAlgNotAllowed) return refused('it is signed by an algorithm that is not accepted');
  if (error instanceof errors.JWSSignatureVerificationFailed) return refused('its signature does not fit');
  if (error instanceof errors.JWKSNoMatchingKey) return refused('its issuer has no key of its id');
  if (error instanceof errors.JWKSMultipleMatchingKeys) return refused('it does not say which of the keys signed it');
  if (
    error instanceof errors.JWTInvalid ||
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JOSENotSupported
  ) {
    return refused('it is neither an API key nor a signed token');
  }
  return new DomainFailure('identity_unavailable', 'the keys of who issues the tokens cannot be used', {
    cause: error,
  });
}

function refused(why: string): DomainFailure {
  return new DomainFailure('unauthenticated', `this token is not accepted: ${why}`);
}
