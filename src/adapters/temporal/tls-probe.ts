import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { type ConnectionOptions, type TLSSocket, connect } from 'node:tls';
import type { ConnectionOptions as TemporalOptions } from '@temporalio/client';

type TlsOptions = Exclude<TemporalOptions['tls'], boolean | null | undefined>;

/** As the SDK takes it; `tls` false or absent: without TLS. */
export type ProbeTarget = Pick<TemporalOptions, 'address' | 'tls'>;

export type ProbeResult =
  /** When the certificate ends that ends first: theirs, or ours. */
  | { readonly expiresAt: Date }
  /** Why there is no connection, and which setting has a say in it. */
  | { readonly problem: string };

const PROBE_MS = 3_000;
const DEFAULT_PORT = 7233;

/**
 * Asks Temporal's end for its certificate, beside the SDK, whose two kinds of connection say of any refusal that the
 * connection broke or that time ran out. Resolves with undefined where this finds nothing wrong and no certificate.
 */
export async function probeTls({ address = 'localhost', tls }: ProbeTarget): Promise<ProbeResult | undefined> {
  const { host, port } = split(address);
  const wanted: TlsOptions = typeof tls === 'object' && tls !== null ? tls : {};
  const servername = wanted.serverNameOverride ?? (isIP(host) === 0 ? host : undefined);
  const pair = wanted.clientCertPair;
  const options: ConnectionOptions = {
    host,
    port,
    ALPNProtocols: ['h2'],
    ...(servername === undefined ? {} : { servername }),
    ...(wanted.serverRootCACertificate && { ca: Buffer.from(wanted.serverRootCACertificate) }),
    ...(pair && { cert: Buffer.from(pair.crt), key: Buffer.from(pair.key) }),
  };
  if (tls !== undefined && tls !== null && tls !== false) {
    const found = await outcomeOf(options, pair !== undefined, wanted);
    if (pair === undefined || 'problem' in found) return found;
    const own = new Date(new X509Certificate(pair.crt).validTo);
    return { expiresAt: own < found.expiresAt ? own : found.expiresAt };
  }
  // Whether it speaks TLS at all; what it shows does not matter.
  const spoken = await outcomeOf({ ...options, rejectUnauthorized: false }, false, {});
  return 'expiresAt' in spoken || spoken.problem === NEEDS_CERTIFICATE
    ? { problem: 'it speaks TLS only: set TEMPORAL_TLS=true, or TEMPORAL_TLS_SERVER_CA_CERT_PATH' }
    : undefined;
}

const NEEDS_CERTIFICATE =
  'it asks for a client certificate: set TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH';

async function outcomeOf(options: ConnectionOptions, hasPair: boolean, { serverRootCACertificate }: TlsOptions) {
  const { promise, resolve } = Promise.withResolvers<ProbeResult>();
  let socket: TLSSocket;
  try {
    socket = connect(options);
  } catch (error) {
    // A certificate or a key that OpenSSL cannot read.
    return { problem: `its TLS settings cannot be used: ${messageOf(error)}` };
  }
  const expiresAt = (): Date => new Date(socket.getPeerCertificate().valid_to);
  let isSecure = false;
  socket.once('secureConnect', () => {
    isSecure = true;
  });
  // With TLS 1.3 a server refuses a client's certificate after the handshake; what it says first in HTTP/2 accepts it.
  socket.once('data', () => resolve({ expiresAt: expiresAt() }));
  socket.setTimeout(PROBE_MS, () => resolve({ problem: isSecure ? 'it says nothing' : 'it does not answer' }));
  socket.once('error', (error: NodeJS.ErrnoException) =>
    resolve({ problem: problemOf(error, isSecure, hasPair, serverRootCACertificate !== undefined) }),
  );
  socket.once('close', () =>
    resolve({ problem: isSecure && !hasPair ? NEEDS_CERTIFICATE : 'it closed the connection' }),
  );
  try {
    return await promise;
  } finally {
    socket.on('error', () => undefined);
    socket.destroy();
  }
}

/** Said by the server in an alert, or found by our side in its certificate. */
function problemOf(error: NodeJS.ErrnoException, isSecure: boolean, hasPair: boolean, hasCa: boolean): string {
  const code = error.code ?? '';
  if (code.startsWith('ERR_SSL_') && /ALERT/.test(code)) {
    if (!hasPair) return NEEDS_CERTIFICATE;
    return `it refuses our client certificate (${code.slice('ERR_SSL_'.length).toLowerCase().replaceAll('_', ' ')})`;
  }
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER') return 'it speaks no TLS; unset TEMPORAL_TLS… or set TEMPORAL_TLS=false';
  if (code === 'CERT_HAS_EXPIRED') return 'its certificate has expired';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `its certificate is for another name (${error.message}); TEMPORAL_TLS_SERVER_NAME says which to expect`;
  }
  if (/UNABLE_TO|SELF_SIGNED|CERT_/.test(code)) {
    const by = hasCa ? 'the authority in TEMPORAL_TLS_SERVER_CA_CERT_PATH' : 'an authority that this machine trusts';
    return `its certificate is not by ${by} (${error.message})`;
  }
  if (isSecure && !hasPair) return NEEDS_CERTIFICATE;
  return messageOf(error);
}

function split(address: string): { host: string; port: number } {
  const { hostname, port } = new URL(`tcp://${address}`);
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: port === '' ? DEFAULT_PORT : Number(port) };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
