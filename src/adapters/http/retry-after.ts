/**
 * A `Retry-After` header (RFC 9110 §10.2.3), seconds or an HTTP date, as milliseconds from `nowMs`. A date that is over
 * means 0. Undefined where there is none, or none that can be read.
 */
export function retryAfterMs(header: string | string[] | undefined, nowMs: number): number | undefined {
  const value = (Array.isArray(header) ? header[0] : header)?.trim() ?? '';
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  // Date.parse alone would take '-5' or '1.5' for a date.
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(value)) return undefined;
  const dueMs = Date.parse(value);
  return Number.isNaN(dueMs) ? undefined : Math.max(0, dueMs - nowMs);
}
