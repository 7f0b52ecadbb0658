import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type FulfillmentStatus, fulfillmentMayBecome, fulfillmentStatuses } from '../../src/domain/fulfillment.ts';
import { isTerminal, mayBecome, orderStatuses, rollUp } from '../../src/domain/order.ts';

const fulfillment = fc.constantFrom(...fulfillmentStatuses);
const fulfillments = fc.array(fulfillment, { minLength: 1, maxLength: 8 });

describe("an order's status", () => {
  test('never leaves its end, and never becomes what it is', () => {
    for (const from of orderStatuses) {
      const next = orderStatuses.filter((to) => mayBecome(from, to));
      expect([from, next.includes(from)]).toEqual([from, false]);
      expect([from, next.length === 0]).toEqual([from, isTerminal(from)]);
    }
  });

  test('comes to an end from everywhere', () => {
    for (const from of orderStatuses) {
      expect([from, isTerminal(from) || orderStatuses.some((to) => mayBecome(from, to) && isTerminal(to))]).toEqual([
        from,
        true,
      ]);
    }
  });

  test('never turns back: no way leads to where it came from', () => {
    const reachable = (from: (typeof orderStatuses)[number], seen = new Set<string>()): Set<string> => {
      for (const to of orderStatuses.filter((candidate) => mayBecome(from, candidate) && !seen.has(candidate))) {
        seen.add(to);
        reachable(to, seen);
      }
      return seen;
    };
    for (const from of orderStatuses) expect(reachable(from).has(from)).toBe(false);
  });

  test('once confirmed is never rejected: the customer was told that it comes', () => {
    expect(mayBecome('confirmed', 'rejected')).toBe(false);
    expect(mayBecome('fulfilling', 'rejected')).toBe(false);
  });
});

describe('the roll-up of fulfillments', () => {
  test('does not depend on their order', () => {
    fc.assert(
      fc.property(fulfillments, (all) => {
        expect(rollUp(all.toReversed())).toBe(rollUp(all));
      }),
    );
  });

  test('is at an end exactly if all of them are', () => {
    const open = (status: FulfillmentStatus): boolean =>
      fulfillmentStatuses.some((next) => fulfillmentMayBecome(status, next));
    fc.assert(
      fc.property(fulfillments, (all) => {
        expect(isTerminal(rollUp(all))).toBe(!all.some(open));
      }),
    );
  });

  test('says completed, partially completed or cancelled as all, some or none were delivered', () => {
    const closed = fc.array(fc.constantFrom('delivered', 'cancelled', 'failed'), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(closed as fc.Arbitrary<FulfillmentStatus[]>, (all) => {
        const delivered = all.filter((status) => status === 'delivered').length;
        const expected = delivered === 0 ? 'cancelled' : delivered === all.length ? 'completed' : 'partially_completed';
        expect(rollUp(all)).toBe(expected);
      }),
    );
  });

  test('follows every allowed step of a fulfillment by standing still or by an allowed step of the order', () => {
    fc.assert(
      fc.property(fulfillments, fc.nat(), fulfillment, (all, at, next) => {
        const index = at % all.length;
        const from = all[index];
        if (from === undefined || !fulfillmentMayBecome(from, next)) return;
        const before = rollUp(all);
        const now = rollUp(all.with(index, next));
        expect(before === now || mayBecome(before, now)).toBe(true);
      }),
    );
  });
});
