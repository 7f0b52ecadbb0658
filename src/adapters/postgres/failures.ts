import { DatabaseError } from 'pg';
import { DomainFailure } from '../../domain/failures.ts';

/**
 * The one place where the driver's errors get their meaning: what may be gone at the next try becomes
 * `store_unavailable`; anything else is a bug and stays as it is.
 */
export function asFailure(error: unknown): unknown {
  if (error instanceof DomainFailure || !isPassing(error)) return error;
  return new DomainFailure('store_unavailable', 'The database cannot do this at the moment. Try again.', {
    cause: error,
    retryAfterMs: 1000,
  });
}

/** SQLSTATE classes and codes, https://www.postgresql.org/docs/current/errcodes-appendix.html. */
const passingClasses = new Set(['08', '28', '53', '57', '58']);
const passingCodes = new Set(['25006', '25P03', '25P04', '3D000', '40001', '40P01', '55P03']);
const socketCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);
/** Of a server's certificate, which is renewed, or of an end that speaks no TLS: nothing that an order could be to blame for. */
const tlsCodes = /^(ERR_SSL_|ERR_TLS_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/;
/** The driver throws these as plain errors, told apart by their text alone. */
const driverMessages =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed|The server does not support SSL connections|Cannot use a pool after calling end|driver has already been destroyed|Query read timeout)/i;

function isPassing(error: unknown): boolean {
  if (error instanceof DatabaseError) {
    const code = error.code ?? '';
    return passingClasses.has(code.slice(0, 2)) || passingCodes.has(code);
  }
  if (error instanceof AggregateError) return error.errors.some(isPassing);
  if (!(error instanceof Error)) return false;
  const code = 'code' in error ? String(error.code) : '';
  return socketCodes.has(code) || tlsCodes.test(code) || driverMessages.test(error.message);
}
