import { setImmediate } from 'node:timers/promises';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  currentTraceparent,
  formatTraceparent,
  newTraceparent,
  parseTraceparent,
  withTraceparent,
} from '../../src/telemetry/trace-context.ts';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const spanId = '00f067aa0ba902b7';

const hex = (digits: number) =>
  fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`)).filter((text) => /[1-9a-f]/.test(text));

const seenWithin = (traceparent: string) =>
  withTraceparent(traceparent, async () => {
    await setImmediate();
    return currentTraceparent();
  });

describe('a traceparent', () => {
  test.each([
    ['', 'nothing'],
    ['garbage', 'no fields'],
    [`00-${traceId}-${spanId}`, 'no flags'],
    [`00-${traceId.toUpperCase()}-${spanId}-01`, 'upper case'],
    [`00-${'0'.repeat(32)}-${spanId}-01`, 'an all-zero trace id'],
    [`00-${traceId}-${'0'.repeat(16)}-01`, 'an all-zero span id'],
    [`ff-${traceId}-${spanId}-01`, 'the forbidden version'],
    [`00-${traceId}-${spanId}-01-more`, 'fields that version 00 does not have'],
    [`00-${traceId}-${spanId}-01\n`, 'a trailing newline'],
  ])('is refused: %s (%s)', (text) => {
    expect(parseTraceparent(text)).toBeUndefined();
  });

  test('of a later version is read by its known fields', () => {
    expect(parseTraceparent(`01-${traceId}-${spanId}-03-more`)).toEqual({ traceId, spanId, sampled: true });
  });

  test('reads back as it was written', () => {
    fc.assert(
      fc.property(fc.record({ traceId: hex(32), spanId: hex(16), sampled: fc.boolean() }), (context) => {
        expect(parseTraceparent(formatTraceparent(context))).toEqual(context);
      }),
    );
  });

  test('that is new is a valid root, another one each time', () => {
    const ids = Array.from({ length: 100 }, () => parseTraceparent(newTraceparent())?.traceId);
    expect(ids).not.toContain(undefined);
    expect(new Set(ids).size).toBe(100);
  });

  test('is known to all that runs within it, and to nothing else', async () => {
    const [one, two] = [newTraceparent(), newTraceparent()];
    expect(await Promise.all([seenWithin(one), seenWithin(two)])).toEqual([one, two]);
    expect(currentTraceparent()).toBeUndefined();
  });
});
