import { type DestinationStream, type Level, pino } from 'pino';
import { currentTraceparent, parseTraceparent } from './trace-context.ts';

export type LogFields = Readonly<Record<string, unknown>>;

/** What the program logs to: one JSON line an event. Put an error under `err`, so that its stack and cause are kept. */
export interface Log {
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

/**
 * Never logged, wherever they stand in a line's fields down to four levels: what pays, what proves who somebody is,
 * and where and how people live. `name` is a person's: call other things by what they are (`dependency`, `sku`).
 */
const secrets = [
  'token',
  'paymentToken',
  'secret',
  'password',
  'authorization',
  'cookie',
  'address',
  'shippingAddress',
  'email',
  'name',
  'line1',
  'line2',
  'city',
  'postalCode',
];
const secretHeaders = ['["webhook-signature"]', '["set-cookie"]', '["proxy-authorization"]'];

/** PostgreSQL's word on what it refuses is the whole row, or the value of a key. */
const rows = ['err.detail', 'err.aggregateErrors[*].detail'];

const redactedPaths = ['', '*', '*.*', '*.*.*'].flatMap((depth) => [
  ...secrets.map((key) => (depth === '' ? key : `${depth}.${key}`)),
  ...secretHeaders.map((key) => `${depth}${key}`),
]);

/**
 * Makes the process's log: JSON lines on standard output (or `destination`), UTC times, secrets and personal data
 * redacted, and the id of the trace that the line belongs to.
 */
export function createLogger(level: Level | 'silent', destination?: DestinationStream): Log {
  const options = {
    level,
    base: {},
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: [...redactedPaths, ...rows], censor: '[redacted]' },
    mixin: traceFields,
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

function traceFields(): Record<string, string> {
  const traceId = parseTraceparent(currentTraceparent() ?? '')?.traceId;
  return traceId === undefined ? {} : { traceId };
}
