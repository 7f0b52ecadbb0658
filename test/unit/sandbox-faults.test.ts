import { describe, expect, test } from 'vitest';
import { type Call, Faults, faultBody } from '../../src/sandbox/faults.ts';

const call: Call = { dependency: 'payments', operation: 'capture', key: 'k1', orderId: 'o1' };
const script = (fault: object) => faultBody.parse({ dependency: 'payments', kind: 'error', ...fault });

describe('faults', () => {
  test('the oldest that matches hits', () => {
    const faults = new Faults();
    faults.add(script({ dependency: 'carrier' }));
    const { id } = faults.add(script({}));
    faults.add(script({ kind: 'reset' }));
    expect(faults.draw(call)).toMatchObject({ id, kind: 'error' });
  });

  test('one that is used up makes room for the next', () => {
    const faults = new Faults();
    faults.add(script({ count: 2 }));
    faults.add(script({ kind: 'reset' }));
    expect([1, 2, 3].map(() => faults.draw(call)?.kind)).toEqual(['error', 'error', 'reset']);
    expect(faults.list().map(({ hits }) => hits)).toEqual([2, 1]);
  });

  test('a rate hits that share of the calls, and what it misses does not count', () => {
    const draws = [0.1, 0.3, 0.29, 0.9];
    const faults = new Faults(() => draws.shift() ?? 1);
    faults.add(script({ rate: 0.3 }));
    expect([1, 2, 3, 4].map(() => faults.draw(call) !== undefined)).toEqual([true, false, true, false]);
    expect(faults.list()).toMatchObject([{ hits: 2 }]);
  });

  test('a rate of 0 never hits, one of 1 always does', () => {
    const faults = new Faults(() => 0);
    faults.add(script({ rate: 0 }));
    expect(faults.draw(call)).toBeUndefined();
    const always = new Faults(() => 0.999_999);
    always.add(script({ rate: 1 }));
    expect(always.draw(call)).toBeDefined();
  });

  test.each([
    ['its key', { match: { key: 'k1' } }, true],
    ['another key', { match: { key: 'k2' } }, false],
    ['its order', { match: { orderId: 'o1' } }, true],
    ['another order', { match: { orderId: 'o2' } }, false],
    ['its operation', { operation: 'capture' }, true],
    ['another operation', { operation: 'void' }, false],
  ])('one for %s: %j', (_, fault, hits) => {
    const faults = new Faults();
    faults.add(script(fault));
    expect(faults.draw(call) !== undefined).toBe(hits);
  });

  test('one for an order does not hit a look-up of an unknown key', () => {
    const faults = new Faults();
    faults.add(script({ match: { orderId: 'o1' } }));
    expect(faults.draw({ ...call, operation: 'lookup', orderId: undefined })).toBeUndefined();
  });

  test('can be taken back one by one, or all', () => {
    const faults = new Faults();
    const first = faults.add(script({}));
    faults.add(script({ kind: 'reset' }));
    faults.remove(first.id);
    expect(faults.draw(call)?.kind).toBe('reset');
    expect(() => faults.remove(first.id)).toThrow(`no fault '${first.id}'`);
    faults.clear();
    expect(faults.draw(call)).toBeUndefined();
  });

  test.each([
    [{ kind: 'latency' }, 'latencyMs'],
    [{ kind: 'delay_effect' }, 'latencyMs'],
    [{ operation: 'book' }, 'operation'],
    [{ kind: 'explosion' }, 'kind'],
    [{ rate: 1.1 }, 'rate'],
    [{ orderId: 'o1' }, 'orderId'],
  ])('a script that makes no sense is refused: %j', (fault, place) => {
    const parsed = faultBody.safeParse({ dependency: 'payments', kind: 'error', ...fault });
    expect(JSON.stringify(parsed.error?.issues)).toContain(`"${place}"`);
  });
});
