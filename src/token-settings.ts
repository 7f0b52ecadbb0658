import { createTokenVerifier } from './adapters/oidc/tokens.ts';
import { type Config, ConfigError } from './config.ts';
import type { TokenVerifier } from './domain/access-ports.ts';

/** Who tells tokens, as the settings say; undefined where only API keys are accepted. Throws `ConfigError`. */
export function tokensOf(config: Config): TokenVerifier | undefined {
  const { EVENKEEL_OIDC_ISSUER: issuer, EVENKEEL_OIDC_AUDIENCE: audience } = config;
  if (issuer === undefined) return undefined;
  if (audience === undefined) {
    throw new ConfigError(
      'set EVENKEEL_OIDC_AUDIENCE beside EVENKEEL_OIDC_ISSUER: tokens that the issuer made for others are not for us.',
    );
  }
  return createTokenVerifier({
    issuer,
    audience,
    jwksUrl: config.EVENKEEL_OIDC_JWKS_URL,
    rolesClaim: config.EVENKEEL_OIDC_ROLES_CLAIM,
    customerClaim: config.EVENKEEL_OIDC_CUSTOMER_CLAIM,
  });
}
