import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { likePattern, matchesType, typePattern, typesMatching } from '../../src/domain/consumers.ts';
import { eventTypes } from '../../src/domain/events.ts';

/** LIKE as PostgreSQL reads it, with its default escape: `%` any run, `_` any one, `\` takes the next as it is. */
function like(text: string, pattern: string): boolean {
  const [first = '', next = ''] = pattern;
  if (pattern === '') return text === '';
  if (first === '%') return like(text, pattern.slice(1)) || (text !== '' && like(text.slice(1), pattern));
  if (text === '') return false;
  if (first === '\\') return text.startsWith(next) && like(text.slice(1), pattern.slice(2));
  return (first === '_' || text.startsWith(first)) && like(text.slice(1), pattern.slice(1));
}

describe('a pattern', () => {
  test.each([
    ['evenkeel.order.*', 'evenkeel.order.created.v1', true],
    ['*', 'evenkeel.order.created.v1', true],
    ['evenkeel.order.created.v1', 'evenkeel.order.created.v1', true],
    ['evenkeel.order.created.v1', 'evenkeel.order.created.v10', false],
    ['evenkeel.order.created.v1', 'evenkeel.order.createdxv1', false],
    ['*.payment_*.v1', 'evenkeel.order.payment_voided.v1', true],
    ['*.payment_*.v1', 'evenkeel.order.paymentsvoided.v1', false],
    ['ab*ba', 'aba', false],
    ['ab*ba', 'abba', true],
    ['a*b*c', 'axbxbxc', true],
    ['', '', true],
  ])('%s takes in %s: %s', (pattern, type, expected) => {
    expect(matchesType(pattern, type)).toBe(expected);
    expect(like(type, likePattern(pattern))).toBe(expected);
  });

  test('means the same to the program and to the database', () => {
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '_', '.', '*', '%', '\\'), maxLength: 8 });
    const type = fc.string({ unit: fc.constantFrom('a', 'b', '_', '.', '%', '\\'), maxLength: 8 });
    fc.assert(
      fc.property(pattern, type, (one, text) => {
        expect(matchesType(one, text)).toBe(like(text, likePattern(one)));
      }),
      { numRuns: 5_000 },
    );
    const cut = fc.tuple(fc.constantFrom(...eventTypes), fc.nat(40), fc.nat(40), fc.constantFrom('*', '_', '.', ''));
    fc.assert(
      fc.property(cut, fc.constantFrom(...eventTypes), ([from, start, length, stand], text) => {
        const one = from.slice(0, start) + stand + from.slice(start + length);
        expect(matchesType(one, text)).toBe(like(text, likePattern(one)));
      }),
    );
  });

  test('of a hundred stars is no more work than one', () => {
    const stars = `${'*'.repeat(99)}x`;
    expect(stars).toMatch(typePattern);
    expect(typesMatching(stars)).toEqual([]);
    expect(typesMatching('*e*e*e*e*e*e*e*e*e*v1*1')).toEqual([]);
  });

  test('that no type of today matches is seen', () => {
    expect(typesMatching('evenkeel.orders.*')).toEqual([]);
    expect(typesMatching('evenkeel.order.*')).toEqual(eventTypes);
    expect(typesMatching('*.completed.v1')).toEqual(['evenkeel.order.completed.v1']);
  });
});
