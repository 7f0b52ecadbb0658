import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type ConsumerHealth,
  TROUBLE_CONNECTIONS,
  TROUBLE_FAILURES,
  TROUBLE_ORDERS,
  type Word,
  hear,
  healthy,
  isClean,
} from '../../src/domain/consumer-health.ts';

const works: Word = { says: 'works' };
const fails = (orderId: string, blames: 'answer' | 'connection' = 'answer'): Word => ({
  says: 'fails',
  orderId,
  blames,
  reason: 'http_500',
});
const heard = (words: readonly Word[], from: ConsumerHealth = healthy) => words.reduce(hear, from);

const word: fc.Arbitrary<Word> = fc.oneof(
  fc.constant(works),
  fc.record({
    says: fc.constant('fails' as const),
    orderId: fc.constantFrom('a', 'b', 'c', 'd'),
    blames: fc.constantFrom('answer' as const, 'answer' as const, 'connection' as const),
    reason: fc.constantFrom('http_500', 'timeout'),
  }),
);
const words = fc.array(word, { maxLength: 40 });
/** Any that words and the workflow's decisions lead to. */
const health = fc
  .tuple(words, fc.constantFrom('left', 'recovering' as const), words)
  .map(([before, decision, later]) => {
    const first = heard(before);
    const decided = decision === 'recovering' && first.mode !== 'normal' ? { ...first, mode: decision } : first;
    return heard(later, decided);
  });

describe('trouble begins', () => {
  test.each([
    ['when the third order fails without a success between', [fails('a'), fails('b'), fails('c')], 'probing'],
    ['when it cannot be reached twice in a row', [fails('a', 'connection'), fails('a', 'connection')], 'probing'],
    [
      'when nothing but failures come for long, of one order alone',
      Array(TROUBLE_FAILURES).fill(fails('a')),
      'probing',
    ],
    ['not before', Array(TROUBLE_FAILURES - 1).fill(fails('a')), 'normal'],
    ['not by one broken connection and some bad answers', [fails('a', 'connection'), fails('a'), fails('b')], 'normal'],
    ['not while there are successes between', [fails('a'), fails('b'), works, fails('c'), fails('d')], 'normal'],
    [
      'not by connections that break now and then',
      [fails('a', 'connection'), works, fails('b', 'connection')],
      'normal',
    ],
  ] as const)('%s', (_name, said, mode) => {
    expect(heard(said).mode).toBe(mode);
  });

  test('exactly at the first word that makes enough of them since the last success', () => {
    fc.assert(
      fc.property(words, (said) => {
        const since = (index: number) =>
          said.slice(said.slice(0, index).findLastIndex(({ says }) => says === 'works') + 1, index);
        const enough = (recent: readonly Word[]) => {
          const failures = recent.flatMap((one) => (one.says === 'fails' ? [one] : []));
          const orders = new Set(failures.map(({ orderId }) => orderId));
          const connections = failures.filter(({ blames }) => blames === 'connection');
          if (orders.size >= TROUBLE_ORDERS || connections.length >= TROUBLE_CONNECTIONS) return true;
          return failures.length >= TROUBLE_FAILURES;
        };
        const first = Array.from({ length: said.length + 1 }, (_, index) => index).find((index) =>
          enough(since(index)),
        );
        for (let index = 0; index <= said.length; index += 1) {
          const { mode, epoch } = heard(said.slice(0, index));
          const isTrouble = first !== undefined && index >= first;
          expect({ mode, epoch }).toEqual(isTrouble ? { mode: 'probing', epoch: 1 } : { mode: 'normal', epoch: 0 });
        }
      }),
    );
  });

  test('anew under the next epoch, with nothing of the last one', () => {
    const over: ConsumerHealth = { ...healthy, epoch: 7, relapses: 4, successes: 0 };
    expect(heard([fails('a'), fails('b'), fails('c')], over)).toMatchObject({ mode: 'probing', epoch: 8, relapses: 0 });
  });
});

describe('while there is trouble', () => {
  const recovering: ConsumerHealth = { ...healthy, mode: 'recovering', epoch: 3, reason: 'timeout', successes: 5 };

  test('it comes back under the same epoch, and is counted', () => {
    const back = heard([fails('a'), fails('b'), works, fails('a'), fails('b'), fails('c')], recovering);
    expect(back).toMatchObject({ mode: 'probing', epoch: 3, relapses: 1, successes: 0 });
  });

  test('a single order that fails does not bring it back, unless nothing else passes', () => {
    const some = Array<Word>(TROUBLE_FAILURES - 1).fill(fails('a'));
    expect(heard([...some, works, ...some], recovering).mode).toBe('recovering');
    expect(heard([...some, fails('a')], recovering)).toMatchObject({ mode: 'probing', relapses: 1 });
  });

  test('no success ends it: that takes a decision', () => {
    fc.assert(
      fc.property(health, (state) => {
        expect(hear(state, works).mode).toBe(state.mode);
      }),
    );
  });

  test('it remembers why it began, though it works at times', () => {
    expect(hear(recovering, works)).toMatchObject({ reason: 'timeout', successes: 6 });
    expect(heard([fails('a'), works])).toEqual(healthy);
  });
});

describe('whatever is said', () => {
  test('a success takes all failures back, and a failure all successes', () => {
    fc.assert(
      fc.property(health, (state) => {
        expect(hear(state, works)).toMatchObject({ failingOrders: [], connectionFailures: 0, failures: 0 });
        const worse = hear(state, fails('z'));
        expect(worse.successes).toBe(0);
        expect(worse.failingOrders.length).toBeGreaterThan(0);
        expect(worse.failures).toBeGreaterThan(0);
      }),
    );
  });

  test('epoch and relapses rise by one at most, and the mode with one of them', () => {
    fc.assert(
      fc.property(health, word, (state, said) => {
        const next = hear(state, said);
        const rose = next.epoch - state.epoch;
        expect(rose).toBe(state.mode === 'normal' && next.mode !== 'normal' ? 1 : 0);
        const relapsed = state.mode === 'recovering' && next.mode === 'probing' ? 1 : 0;
        expect(next.relapses).toBe(rose === 1 ? 0 : state.relapses + relapsed);
      }),
    );
  });

  test('no more is kept than counts', () => {
    fc.assert(
      fc.property(health, ({ failingOrders, connectionFailures, failures }) => {
        expect(failures).toBeLessThanOrEqual(TROUBLE_FAILURES);
        expect(failingOrders.length).toBeLessThanOrEqual(TROUBLE_ORDERS);
        expect(new Set(failingOrders).size).toBe(failingOrders.length);
        expect(connectionFailures).toBeLessThanOrEqual(TROUBLE_CONNECTIONS);
      }),
    );
  });

  test('it is clean exactly where a success changes nothing', () => {
    fc.assert(
      fc.property(health, (state) => {
        expect(isClean(state)).toBe(JSON.stringify(hear(state, works)) === JSON.stringify(state));
      }),
    );
  });
});
