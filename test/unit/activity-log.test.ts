import type { Context } from '@temporalio/activity';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { expect, test } from 'vitest';
import { translate } from '../../src/activities/attempt.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import { activityInterceptors } from '../../src/telemetry/temporal-interceptors.ts';

/** What is logged of an attempt that fails so. */
async function linesOf(failure: Error): Promise<[string, string, unknown][]> {
  const lines: [string, string, unknown][] = [];
  const write = (level: string) => (fields: object, message: string) =>
    void lines.push([level, message, 'code' in fields ? fields.code : undefined]);
  const info = { activityType: 'book', attempt: 2, isLocal: false, workflowExecution: { workflowId: 'order-1' } };
  const { inbound } = activityInterceptors({ info: write('info'), warn: write('warn'), error: write('error') })({
    info,
  } as Context);
  const attempt = inbound?.execute?.({ args: [{}], headers: {} }, () => Promise.reject(failure));
  await expect(attempt).rejects.toBe(failure);
  return lines;
}

test('an attempt that failed is a warning, one that a guard refused is told in a line, and a cancelled one in none', async () => {
  expect(await linesOf(ApplicationFailure.create({ message: 'away' }))).toEqual([
    ['warn', 'activity attempt failed', undefined],
  ]);
  const refused = translate(new DomainFailure('breaker_open', 'carrier: not asked', { retryAfterMs: 5_000 }), 2, 0.5);
  expect(await linesOf(refused)).toEqual([['info', 'activity attempt was not made for now', 'breaker_open']]);
  expect(await linesOf(new CancelledFailure('stopped'))).toEqual([]);
});
