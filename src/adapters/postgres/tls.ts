import { readFileSync } from 'node:fs';
import { TLSSocket } from 'node:tls';
import type { Client, PoolClient } from 'pg';

/** Thrown for an address of PostgreSQL whose TLS cannot be had; names the parameter, and shows no password. */
export class DatabaseTlsError extends Error {
  override readonly name = 'DatabaseTlsError';
}

const FILES = ['sslrootcert', 'sslcert', 'sslkey'] as const;
const MODES = ['disable', 'no-verify', 'prefer', 'require', 'verify-ca', 'verify-full'];
/** To the driver of today all of them mean the last; the next is to take them as libpq does, which is less. */
const VERIFYING = new Set(['prefer', 'require', 'verify-ca', 'verify-full']);

/**
 * The address as the driver is to have it: whoever asks for TLS gets a server whose certificate and name are verified,
 * whatever the driver makes of `sslmode`, unless it says `no-verify` or `uselibpqcompat=true`. Throws `DatabaseTlsError`
 * for a file that cannot be read and for a mode that does not exist.
 */
export function withTls(databaseUrl: string): string {
  if (!URL.canParse(databaseUrl)) return databaseUrl;
  const url = new URL(databaseUrl);
  const asked = url.searchParams;
  for (const name of FILES) {
    const file = asked.get(name);
    if (file !== null) requireReadable(name, file);
  }
  const mode = asked.get('sslmode');
  if (mode === null || asked.get('uselibpqcompat') === 'true') return databaseUrl;
  if (!MODES.includes(mode)) {
    throw new DatabaseTlsError(`DATABASE_URL: sslmode=${mode} is none of ${MODES.join(', ')}`);
  }
  if (!VERIFYING.has(mode)) return databaseUrl;
  asked.set('sslmode', 'verify-full');
  return url.href;
}

function requireReadable(name: string, file: string): void {
  try {
    readFileSync(file);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    throw new DatabaseTlsError(`DATABASE_URL: ${name}=${file} cannot be read${code}`);
  }
}

/** When the server's certificate ends that this connection was made with; undefined without TLS. */
export function certificateEnd(client: Client | PoolClient): Date | undefined {
  const { connection } = client as unknown as { readonly connection?: { readonly stream?: unknown } };
  const stream = connection?.stream;
  return stream instanceof TLSSocket ? new Date(stream.getPeerCertificate().valid_to) : undefined;
}
