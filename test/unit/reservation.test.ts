import { array, assert, constantFrom, integer, nat, property, record, uniqueArray } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planReservation } from '../../src/domain/reservation.ts';

const line = (lineNo: number, sku: string, quantity: number, totalMinor = quantity * 10) => ({
  lineNo,
  sku,
  quantity,
  totalMinor,
});
const at = (location: string, sku: string, available: number) => ({ location, sku, available });
const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);
const placesOf = (plan: ReturnType<typeof planReservation>) =>
  plan.outcome === 'planned' ? plan.parts.map(({ location }) => location) : plan.outcome;

const stocked = (main: number, north: number) => [at('north', 'a', north), at('main', 'a', main), at('tiny', 'a', 1)];

describe('planReservation', () => {
  test('names every SKU of which there is not enough, counted over all its lines', () => {
    const plan = planReservation(
      [line(1, 'a', 2), line(2, 'b', 1), line(3, 'a', 2), line(4, 'c', 1)],
      [at('main', 'a', 3), at('north', 'b', 1)],
    );
    expect(plan).toEqual({ outcome: 'out_of_stock', skus: ['a', 'c'] });
  });

  test('prefers one place for all, the fullest, then by name', () => {
    expect(placesOf(planReservation([line(1, 'a', 4)], stocked(5, 9)))).toEqual(['north']);
    expect(placesOf(planReservation([line(1, 'a', 4)], stocked(5, 5)))).toEqual(['main']);
    expect(placesOf(planReservation([line(1, 'a', 4)], stocked(4, 3)))).toEqual(['main']);
  });

  test('splits only what it must, over few places', () => {
    const plan = planReservation(
      [line(1, 'a', 3), line(2, 'b', 2)],
      [at('main', 'a', 3), at('main', 'b', 1), at('north', 'b', 5), at('south', 'a', 1)],
    );
    expect(plan).toEqual({
      outcome: 'planned',
      parts: [
        {
          location: 'main',
          amountMinor: 40,
          items: [
            { lineNo: 1, sku: 'a', quantity: 3 },
            { lineNo: 2, sku: 'b', quantity: 1 },
          ],
        },
        { location: 'north', amountMinor: 10, items: [{ lineNo: 2, sku: 'b', quantity: 1 }] },
      ],
    });
  });

  test('gives every line exactly its quantity and amount, from no more than there is', () => {
    const skus = constantFrom('a', 'b', 'c');
    const lines = array(record({ sku: skus, quantity: integer({ min: 1, max: 20 }), totalMinor: nat(10_000) }), {
      minLength: 1,
      maxLength: 12,
    }).map((rows) => rows.map((row, index) => ({ ...row, lineNo: index + 1 })));
    const stock = uniqueArray(record({ sku: skus, location: constantFrom('n', 's', 'e', 'w'), available: nat(40) }), {
      selector: ({ sku, location }) => sku + location,
    });
    assert(
      property(lines, stock, (demand, levels) => {
        const plan = planReservation(demand, levels);
        const wanted = (sku: string) => sum(demand.filter((row) => row.sku === sku).map((row) => row.quantity));
        const there = (sku: string) => sum(levels.filter((row) => row.sku === sku).map((row) => row.available));
        const short = ['a', 'b', 'c'].filter((sku) => wanted(sku) > there(sku));
        expect(plan.outcome === 'out_of_stock' ? plan.skus.toSorted() : []).toEqual(short);
        if (plan.outcome === 'out_of_stock') return true;
        expect(sum(plan.parts.map(({ amountMinor }) => amountMinor))).toBe(sum(demand.map((row) => row.totalMinor)));
        const given = plan.parts.flatMap(({ location, items }) => items.map((item) => ({ location, ...item })));
        for (const row of demand) {
          const mine = given.filter(({ lineNo }) => lineNo === row.lineNo);
          expect(sum(mine.map(({ quantity }) => quantity))).toBe(row.quantity);
          expect(mine.every(({ sku, quantity }) => sku === row.sku && quantity > 0)).toBe(true);
        }
        for (const level of levels) {
          const taken = given.filter(({ sku, location }) => sku === level.sku && location === level.location);
          expect(sum(taken.map(({ quantity }) => quantity))).toBeLessThanOrEqual(level.available);
        }
        return true;
      }),
    );
  });
});
