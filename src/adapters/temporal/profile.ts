import { readFileSync } from 'node:fs';
import { type ClientConfigProfile, loadClientConfigProfile, toClientOptions } from '@temporalio/envconfig';

type Env = Readonly<Record<string, string>>;
type ConnectConfig = ReturnType<typeof toClientOptions>;

/** Thrown for settings of Temporal that cannot be used; names each, and shows no secret. */
export class TemporalSettingsError extends Error {
  override readonly name = 'TemporalSettingsError';
}

/** What a header may hold. What it may not, gRPC would refuse with a message that shows it. */
const HEADER_VALUE = /^[\x20-\x7e]*$/;

/**
 * How to reach Temporal, by its own rules for `TEMPORAL_*`: a profile of its configuration file, and what the
 * environment says over it. Throws `TemporalSettingsError` for what cannot be used, also where the SDK would do without
 * it: a file that is not there, half of a client certificate.
 */
export function temporalProfile(env: Env): ConnectConfig & { readonly address: string | undefined } {
  const file = env['TEMPORAL_CONFIG_FILE'];
  if (file !== undefined) readable('TEMPORAL_CONFIG_FILE', file);
  const profile = loaded(env);
  const { address, apiKey, grpcMeta = {}, tls } = profile;
  if (apiKey !== undefined && (apiKey === '' || !HEADER_VALUE.test(apiKey))) {
    throw new TemporalSettingsError('the API key of Temporal (TEMPORAL_API_KEY) holds what no header may hold');
  }
  const bad = Object.keys(grpcMeta).find((name) => !HEADER_VALUE.test(grpcMeta[name] ?? ''));
  if (bad !== undefined)
    throw new TemporalSettingsError(`the header ${bad} for Temporal holds what no header may hold`);
  const given = tls?.disabled === true ? undefined : tls;
  for (const [name, source] of [
    ['TEMPORAL_TLS_SERVER_CA_CERT_PATH', given?.serverCACert],
    ['TEMPORAL_TLS_CLIENT_CERT_PATH', given?.clientCert],
    ['TEMPORAL_TLS_CLIENT_KEY_PATH', given?.clientKey],
  ] as const) {
    if (source !== undefined && 'path' in source) readable(name, source.path);
  }
  if ((given?.clientCert === undefined) !== (given?.clientKey === undefined)) {
    throw new TemporalSettingsError(
      'a client certificate for Temporal needs both TEMPORAL_TLS_CLIENT_CERT_… and TEMPORAL_TLS_CLIENT_KEY_…',
    );
  }
  return { ...toClientOptions(profile), address };
}

/** The messages of a parser quote what they could not read, and there may be a key in it. */
function loaded(env: Env): ClientConfigProfile {
  try {
    return loadClientConfigProfile({ overrideEnvVars: { ...env } });
  } catch (error) {
    if (error instanceof Error && 'line' in error) {
      throw new TemporalSettingsError(
        `the configuration file of Temporal is no TOML from its line ${String(error.line)} on`,
      );
    }
    const why = error instanceof Error ? error.message : String(error);
    throw new TemporalSettingsError(`the settings of Temporal cannot be used: ${why}`);
  }
}

function readable(name: string, path: string): void {
  try {
    readFileSync(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    throw new TemporalSettingsError(`${name}: the file ${path} cannot be read${code}`);
  }
}
