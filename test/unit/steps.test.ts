import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  allowedDecisions,
  decisionActions,
  stepKey,
  stepNames,
  undoKey,
  workflowIdOf,
} from '../../src/domain/steps.ts';

const step = fc.constantFrom(...stepNames);
const generation = fc.integer({ min: 1, max: 1000 });
const fulfillment = fc.option(fc.constantFrom('o-1', 'o-2', 'o-3'), { nil: undefined });

describe("a step's key", () => {
  test('names the workflow, the step, the fulfillment and the generation', () => {
    expect(stepKey('o', 'reserve', 1)).toBe('order-o:reserve:1');
    expect(stepKey('o', 'book', 2, 'o-1')).toBe('order-o:book:o-1:2');
    expect(workflowIdOf('o')).toBe('order-o');
  });

  test('is another one for every other step, fulfillment or generation', () => {
    const slot = fc.tuple(step, generation, fulfillment);
    fc.assert(
      fc.property(slot, slot, (a, b) => {
        const same = a.every((part, index) => part === b[index]);
        expect(stepKey('o', ...a) === stepKey('o', ...b)).toBe(same);
      }),
    );
  });
});

describe("an undo's key", () => {
  test('names the generation that it undoes, and counts on after a refusal', () => {
    const undoes = stepKey('o', 'authorize', 2);
    expect(undoKey('o', 'void', { undoes, tries: 1 })).toBe('order-o:void:2');
    expect(undoKey('o', 'void', { undoes, tries: 3 })).toBe('order-o:void:2.3');
    const booking = stepKey('o', 'book', 1, 'o-1');
    expect(undoKey('o', 'cancel_shipment', { undoes: booking, tries: 1 }, 'o-1')).toBe('order-o:cancel_shipment:o-1:1');
  });

  test('is another one for every other generation or try', () => {
    const undo = fc.tuple(generation, generation);
    fc.assert(
      fc.property(undo, undo, (a, b) => {
        const key = ([of, tries]: [number, number]): string =>
          undoKey('o', 'void', { undoes: stepKey('o', 'authorize', of), tries });
        expect(key(a) === key(b)).toBe(a[0] === b[0] && a[1] === b[1]);
      }),
    );
  });
});

describe('the table of decisions', () => {
  test('allows something for every step, and nothing that is no decision', () => {
    for (const name of stepNames) {
      expect(allowedDecisions(name).length).toBeGreaterThan(0);
      expect(allowedDecisions(name).every((action) => decisionActions.includes(action))).toBe(true);
    }
  });

  test('lets nobody skip what takes or gives back what others count on', () => {
    for (const name of ['screen', 'reserve', 'authorize', 'confirm', 'book', 'release', 'finish'] as const) {
      expect([name, allowedDecisions(name).includes('skip')]).toEqual([name, false]);
    }
  });

  test('lets nobody give up what has to be given back', () => {
    for (const name of ['release', 'void', 'cancel_shipment', 'refund', 'capture'] as const) {
      expect([name, allowedDecisions(name).includes('cancel')]).toEqual([name, false]);
    }
  });

  test('asks for approval in a review only', () => {
    for (const name of stepNames.filter((candidate) => candidate !== 'screen')) {
      expect(allowedDecisions(name)).not.toContain('approve');
      expect(allowedDecisions(name)).not.toContain('reject');
    }
  });
});
