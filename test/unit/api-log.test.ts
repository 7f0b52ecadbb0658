import { describe, expect, test } from 'vitest';
import { createLogger } from '../../src/telemetry/log.ts';
import { newTraceparent, parseTraceparent, withTraceparent } from '../../src/telemetry/trace-context.ts';

function capture(level: 'info' | 'warn' = 'info') {
  const lines: string[] = [];
  const log = createLogger(level, { write: (line) => lines.push(line) });
  return { log, lines, last: (): unknown => JSON.parse(lines.at(-1) ?? 'null') };
}

describe('the log', () => {
  test.each([
    { token: 'sesame' },
    { payment: { token: 'sesame' } },
    { body: { payment: { token: 'sesame' } } },
    { request: { headers: { authorization: 'sesame', 'webhook-signature': 'sesame' } } },
    { order: { shippingAddress: { name: 'sesame' } } },
    { correction: { paymentToken: 'sesame', shippingAddress: { line1: 'sesame' } } },
    { a: { b: { c: { name: 'sesame' } } } },
  ])('never holds what is secret or personal: %j', (fields) => {
    const { log, lines } = capture();
    log.info(fields, 'tried');
    expect(lines).toHaveLength(1);
    expect(lines.join()).not.toContain('sesame');
    expect(lines.join()).toContain('[redacted]');
  });

  test('keeps an error with its stack and its cause', () => {
    const { log, last } = capture();
    log.error({ err: new Error('outer', { cause: new Error('inner') }) }, 'failed');
    expect(last()).toMatchObject({ level: 'error', msg: 'failed', err: { message: 'outer: inner' } });
  });

  test('keeps of a refusal by PostgreSQL what was refused, and not the row', () => {
    const { log, lines } = capture();
    const row = 'Failing row contains (…, sesame).';
    const refused = Object.assign(new Error('violates check constraint "positive"'), { code: '23514', detail: row });
    log.error({ err: refused }, 'failed');
    log.error({ err: new Error('outer', { cause: refused }) }, 'failed');
    log.error({ err: new AggregateError([refused], 'all') }, 'failed');
    expect(lines.join()).toContain('23514');
    expect(lines.join()).not.toContain('sesame');
  });

  test('says which trace a line belongs to', () => {
    const { log, last } = capture();
    const traceparent = newTraceparent();
    withTraceparent(traceparent, () => log.info({ orderId: 'o-1' }, 'done'));
    expect(last()).toMatchObject({ orderId: 'o-1', traceId: parseTraceparent(traceparent)?.traceId });
    log.info({}, 'alone');
    expect(last()).not.toHaveProperty('traceId');
  });

  test('leaves out what is below its level', () => {
    const { log, lines } = capture('warn');
    log.info({}, 'quiet');
    log.warn({}, 'loud');
    expect(lines).toHaveLength(1);
  });
});
