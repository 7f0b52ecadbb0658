import { errors } from 'undici';
import type { FailureCause } from '../../domain/delivery.ts';
import { AddressRefused, NotResolved } from './webhook-connector.ts';
import type { Exchange } from './webhook-exchange.ts';

export interface Failure {
  readonly cause: FailureCause;
  /** In words for a person: hosts, addresses and codes, never a path, a query, a header or a body. */
  readonly error: string;
}

/** OpenSSL's and Node's codes for a handshake or a certificate; the latter are listed under "X509 certificate error codes". */
const tls =
  /^(ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|CRL_|ERROR_IN_C|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_|HOSTNAME_MISMATCH|EPROTO)/;

/**
 * What an attempt failed by; undefined if it did not. A status that is none of success decides, whatever became of the
 * answer's body. A success must come to its end: one that breaks off or hangs may be of a consumer that died over it.
 */
export function failureOf({ wasSent, heard, broke }: Exchange, host: string, over: AbortSignal): Failure | undefined {
  if (heard !== undefined && (heard.status < 200 || heard.status > 299)) return refusal(heard.status);
  if (broke === undefined) return undefined;
  const so = heard === undefined ? '' : `answered ${heard.status}, but `;
  if (over.aborted && broke === over.reason) {
    const bound = isTimeout(broke) ? 'in time' : 'before the attempt was given up';
    if (heard !== undefined) return { cause: 'timeout', error: `${so}the answer did not end ${bound}` };
    if (wasSent) return { cause: 'timeout', error: `no answer from ${host} ${bound}` };
    return unconnected(host, bound);
  }
  const failure = whyBroken(broke, host, heard !== undefined);
  return { ...failure, error: `${so}${failure.error}` };
}

function refusal(status: number): Failure {
  const redirects = status >= 300 && status <= 399;
  const advice = redirects ? '; redirects are not followed, so give the consumer the URL that this leads to' : '';
  return { cause: `http_${status}`, error: `answered ${status}${advice}` };
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof Error && reason.name === 'TimeoutError';
}

/** No 'timeout', which may be the event's doing: here it was not even sent. */
function unconnected(host: string, bound: string): Failure {
  return { cause: 'connection_broken', error: `no connection to ${host} ${bound}` };
}

/** Whatever is not known counts as a connection that broke. */
function whyBroken(error: unknown, host: string, hasBegun: boolean): Failure {
  if (error instanceof AddressRefused) return { cause: 'address_refused', error: `${host}: ${error.message}` };
  if (error instanceof NotResolved) {
    return { cause: 'dns_failed', error: named(error.message, codesOf(error.cause)[0]) };
  }
  const codes = codesOf(error);
  const [code] = codes;
  // Of the addresses of one name: a refusal says more than a network that this machine does not have.
  if (codes.includes('ECONNREFUSED')) return { cause: 'connection_refused', error: `${host} refuses connections` };
  if (codes.includes('UND_ERR_CONNECT_TIMEOUT')) return unconnected(host, 'in time');
  if (code !== undefined && tls.test(code)) {
    return { cause: 'tls_failed', error: named(`no secure connection to ${host}: ${firstLine(error)}`, code) };
  }
  // To the parser, an answer that is cut off is an ill-formed one too.
  if (!hasBegun && isBadAnswer(error)) {
    return { cause: 'bad_answer', error: named(`${host} did not answer in HTTP/1.1`, code) };
  }
  return { cause: 'connection_broken', error: named(`the connection to ${host} broke`, code) };
}

const notHttp = [errors.HTTPParserError, errors.HeadersOverflowError, errors.ResponseContentLengthMismatchError];

function isBadAnswer(error: unknown): boolean {
  if (notHttp.some((kind) => error instanceof kind)) return true;
  // An upgrade or an answer that nobody asked for.
  return error instanceof errors.SocketError && /^bad (response|upgrade)/.test(error.message);
}

/** The codes of an error, or of all that it stands for; those of its causes where it has none. */
function codesOf(error: unknown): readonly string[] {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.flatMap(codesOf);
  if (!(error instanceof Error)) return [];
  return 'code' in error && typeof error.code === 'string' ? [error.code] : codesOf(error.cause);
}

function firstLine(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n', 1)[0] ?? '').slice(0, 300) : '';
}

function named(words: string, code: string | undefined): string {
  return code === undefined ? words : `${words} (${code})`;
}
