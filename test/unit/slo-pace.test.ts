import { DatabaseError } from 'pg';
import { expect, test } from 'vitest';
import { createPace } from '../../src/adapters/postgres/slo-pace.ts';
import { DomainFailure } from '../../src/domain/failures.ts';

/** `tookMs` says how long `size` records take; over ten seconds, they are cancelled. Resolves with the sizes of `runs`. */
async function sizesOf(most: number, runs: number, tookMs: (size: number) => number): Promise<number[]> {
  let clock = 0;
  const pace = createPace(most, () => clock);
  const sizes: number[] = [];
  for (let n = 0; n < runs; n += 1) {
    const run = pace.run((size) => {
      sizes.push(size);
      const ms = tookMs(size);
      clock += Math.min(ms, 10_000);
      return ms > 10_000 ? Promise.reject(cancelled('57014')) : Promise.resolve(true);
    }, false);
    await run.catch(() => undefined);
  }
  return sizes;
}

function cancelled(code: string): DomainFailure {
  const cause = new DatabaseError('cancelled', 1, 'error');
  cause.code = code;
  return new DomainFailure('store_unavailable', 'Try again.', { cause });
}

test('what is cancelled is tried with half as much, down to one', async () => {
  expect(await sizesOf(20, 6, () => 10_001)).toEqual([20, 10, 5, 2, 1, 1]);
});

test('it settles where a step takes neither long nor next to nothing, and grows again', async () => {
  expect(await sizesOf(4_000, 5, (size) => size * 3)).toEqual([4_000, 2_000, 1_000, 500, 500]);
  let msEach = 3;
  const sizes = await sizesOf(4_000, 7, (size) => {
    const tookMs = size * msEach;
    if (size === 500) msEach = 0.1;
    return tookMs;
  });
  expect(sizes).toEqual([4_000, 2_000, 1_000, 500, 500, 1_000, 2_000]);
});

test('one record that takes too long is a failure, and so is whatever is no time limit', async () => {
  const fail = (code: string) => () => Promise.reject(cancelled(code));
  await expect(createPace(1).run(fail('57014'), undefined)).rejects.toMatchObject({ code: 'store_unavailable' });
  await expect(createPace(9).run(fail('57P01'), undefined)).rejects.toMatchObject({ code: 'store_unavailable' });
  await expect(createPace(9).run(() => Promise.reject(new RangeError('a bug')), undefined)).rejects.toThrow('a bug');
});
