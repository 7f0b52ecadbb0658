import { AsyncLocalStorage } from 'node:async_hooks';
import { randomBytes } from 'node:crypto';

/** W3C Trace Context, level 1 (https://www.w3.org/TR/trace-context/): who caused this, as two hex ids. */
export interface TraceContext {
  /** 32 hex digits, not all zero. */
  readonly traceId: string;
  /** 16 hex digits, not all zero. */
  readonly spanId: string;
  readonly sampled: boolean;
}

const current = new AsyncLocalStorage<string>();

/** Makes a root of a new trace, sampled, as the value of a `traceparent` header. */
export function newTraceparent(): string {
  return formatTraceparent({ traceId: newTraceId(), spanId: newSpanId(), sampled: true });
}

export function newTraceId(): string {
  return nonZeroHex(16);
}

export function newSpanId(): string {
  return nonZeroHex(8);
}

export function formatTraceparent({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}

/**
 * Reads a `traceparent` value. Undefined if it is malformed: the standard says to go on as if there was none. A later
 * version may carry more fields behind the flags; version 00 may not, and version ff never exists.
 */
export function parseTraceparent(text: string): TraceContext | undefined {
  const match = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(text);
  const [, version, traceId, spanId, flags, more] = match ?? [];
  if (version === undefined || traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  if (version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** Runs `work`, and all that it awaits, within the trace of `traceparent`. */
export function withTraceparent<T>(traceparent: string, work: () => T): T {
  return current.run(traceparent, work);
}

/** The `traceparent` that the running code belongs to; undefined outside of any. */
export function currentTraceparent(): string | undefined {
  return current.getStore();
}

/** Asked for in one go: the call costs more than the bytes, and each statement of a trace takes eight. */
const POOL_BYTES = 8 * 1024;
let pool = Buffer.alloc(0);
let taken = 0;

function nonZeroHex(bytes: number): string {
  if (taken + bytes > pool.length) {
    pool = randomBytes(POOL_BYTES);
    taken = 0;
  }
  const hex = pool.toString('hex', taken, taken + bytes);
  taken += bytes;
  return /^0+$/.test(hex) ? nonZeroHex(bytes) : hex;
}
