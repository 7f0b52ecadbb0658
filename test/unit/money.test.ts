import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allocate, currencyExponent, formatMoney, parseMinor } from '../../src/domain/money.ts';

const total = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const weights = fc
  .array(fc.nat({ max: Number.MAX_SAFE_INTEGER }), { minLength: 1, maxLength: 20 })
  .filter((all) => all.some((weight) => weight > 0));

describe('allocate', () => {
  test('refuses what cannot be shared', () => {
    expect(() => allocate(-1, [1])).toThrow('cannot allocate -1 over the weights [1]');
    expect(() => allocate(1, [])).toThrow(RangeError);
    expect(() => allocate(1, [0, 0])).toThrow(RangeError);
    expect(() => allocate(1, [2, -1])).toThrow(RangeError);
  });

  test('gives shares that add up exactly', () => {
    fc.assert(
      fc.property(total, weights, (amount, parts) => {
        const sum = allocate(amount, parts).reduce((all, share) => all + BigInt(share), 0n);
        expect(sum).toBe(BigInt(amount));
      }),
    );
  });

  test('gives each its exact share, rounded up or down to a whole unit', () => {
    fc.assert(
      fc.property(total, weights, (amount, parts) => {
        const sum = parts.reduce((all, weight) => all + BigInt(weight), 0n);
        for (const [index, share] of allocate(amount, parts).entries()) {
          const exact = BigInt(amount) * BigInt(parts[index] ?? 0);
          expect(BigInt(share) * sum - exact).toBeLessThan(sum);
          expect(exact - BigInt(share) * sum).toBeLessThan(sum);
        }
      }),
    );
  });

  test('gives nothing for nothing, and never less for more', () => {
    fc.assert(
      fc.property(total, weights, (amount, parts) => {
        const shares = allocate(amount, parts).map((share, index) => ({ share, weight: parts[index] ?? 0 }));
        const byWeight = shares.toSorted((a, b) => a.weight - b.weight || a.share - b.share);
        expect(shares.filter(({ share, weight }) => weight === 0 && share > 0)).toEqual([]);
        expect(byWeight).toEqual(shares.toSorted((a, b) => a.share - b.share || a.weight - b.weight));
      }),
    );
  });

  test('gives the unit that is left to the earlier of two equals', () => {
    expect(allocate(101, [1, 1])).toEqual([51, 50]);
    expect(allocate(100, [1, 1, 1])).toEqual([34, 33, 33]);
  });
});

describe('amounts in text', () => {
  test.each([
    ['2.55', 'GBP', 255],
    ['2.5', 'GBP', 250],
    ['2.500', 'GBP', 250],
    ['-0.01', 'GBP', -1],
    ['255', 'JPY', 255],
    ['1.234', 'KWD', 1234],
    ['2.555', 'GBP', undefined],
    ['2.5', 'JPY', undefined],
    ['1e3', 'GBP', undefined],
    ['', 'GBP', undefined],
    ['1,000.00', 'GBP', undefined],
    ['90071992547409.93', 'GBP', undefined],
    ['1', 'XXQ', undefined],
  ])('%j in %s is %s minor units', (text, currency, minor) => {
    expect(parseMinor(text, currency)).toBe(minor);
  });

  test('are read as they are written', () => {
    const amount = fc.integer({ min: -Number.MAX_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER });
    fc.assert(
      fc.property(amount, fc.constantFrom('GBP', 'JPY', 'KWD', 'EUR'), (amountMinor, currency) => {
        const [decimal = ''] = formatMoney({ amountMinor, currency }).split(' ');
        // There is no negative zero in whole units.
        expect(parseMinor(decimal, currency)).toBe(amountMinor === 0 ? 0 : amountMinor);
      }),
    );
  });

  test.each([
    ['GBP', 2],
    ['JPY', 0],
    ['KWD', 3],
    ['gbp', undefined],
    ['XXQ', undefined],
  ])('%s has %s digits behind the point', (currency, digits) => {
    expect(currencyExponent(currency)).toBe(digits);
  });
});
