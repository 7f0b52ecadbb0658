import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { derivePayment, type PaymentEntry } from '../../src/domain/payment.ts';

const entry = (
  key: string,
  operation: PaymentEntry['operation'],
  phase: PaymentEntry['phase'],
  amountMinor: number,
  code: string | null = null,
): PaymentEntry => ({ key, operation, phase, amountMinor, code });
const asked = (key: string, operation: PaymentEntry['operation'], amountMinor: number) =>
  entry(key, operation, 'request', amountMinor);
const done = (key: string, operation: PaymentEntry['operation'], amountMinor: number): PaymentEntry[] => [
  asked(key, operation, amountMinor),
  entry(key, operation, 'success', amountMinor),
];
const refused = (key: string, operation: PaymentEntry['operation'], amountMinor: number, code: string) => [
  asked(key, operation, amountMinor),
  entry(key, operation, 'failure', amountMinor, code),
];

describe('derivePayment', () => {
  test.each<[string, PaymentEntry[], string]>([
    ['nothing', [], 'none'],
    ['a request without an answer', [asked('a1', 'authorize', 100)], 'unknown'],
    ['a declined authorization', refused('a1', 'authorize', 100, 'insufficient_funds'), 'declined'],
    ['one that never happened', refused('a1', 'authorize', 100, 'never_happened'), 'none'],
    [
      'one that landed after it was thought never to have happened',
      [...refused('a1', 'authorize', 100, 'never_happened'), entry('a1', 'authorize', 'success', 100)],
      'authorized',
    ],
    [
      'a second card after a declined one',
      [...refused('a1', 'authorize', 100, 'x'), ...done('a2', 'authorize', 100)],
      'authorized',
    ],
    ['a voided authorization', [...done('a1', 'authorize', 100), ...done('v1', 'void', 100)], 'voided'],
    [
      'a late authorization that was voided beside the one in use',
      [...done('a1', 'authorize', 100), ...done('a2', 'authorize', 100), ...done('v1', 'void', 100)],
      'authorized',
    ],
    ['a refused void', [...done('a1', 'authorize', 100), ...refused('v1', 'void', 100, 'x')], 'authorized'],
    ['part of it captured', [...done('a1', 'authorize', 100), ...done('c1', 'capture', 60)], 'partially_captured'],
    [
      'all of it captured in parts',
      [...done('a1', 'authorize', 100), ...done('c1', 'capture', 60), ...done('c2', 'capture', 40)],
      'captured',
    ],
    [
      'part of it refunded',
      [...done('a1', 'authorize', 100), ...done('c1', 'capture', 100), ...done('r1', 'refund', 40)],
      'partially_refunded',
    ],
    [
      'all that was captured refunded',
      [...done('a1', 'authorize', 100), ...done('c1', 'capture', 60), ...done('r1', 'refund', 60)],
      'refunded',
    ],
    [
      'a capture under way',
      [...done('a1', 'authorize', 100), ...done('c1', 'capture', 60), asked('c2', 'capture', 40)],
      'unknown',
    ],
  ])('%s', (_, entries, status) => {
    expect(derivePayment(entries).status).toBe(status);
    expect(derivePayment(entries.toReversed()).status).toBe(status);
  });

  test('counts successes only', () => {
    const entries = [
      ...done('a1', 'authorize', 100),
      ...done('c1', 'capture', 60),
      ...refused('c2', 'capture', 40, 'expired'),
      ...done('r1', 'refund', 10),
      asked('r2', 'refund', 50),
    ];
    expect(derivePayment(entries)).toMatchObject({ authorizedMinor: 100, capturedMinor: 60, refundedMinor: 10 });
  });

  const operation = fc.constantFrom<PaymentEntry['operation']>('authorize', 'capture', 'void', 'refund');
  const step = fc.record({
    operation,
    phase: fc.constantFrom<PaymentEntry['phase']>('request', 'success', 'failure'),
    amountMinor: fc.nat({ max: 10_000 }),
  });
  const ledger = fc.array(step, { maxLength: 8 }).map((steps) =>
    steps.flatMap(({ operation: of, phase, amountMinor }, index): PaymentEntry[] => {
      const request = asked(`k${index}`, of, amountMinor);
      return phase === 'request' ? [request] : [request, entry(`k${index}`, of, phase, amountMinor)];
    }),
  );

  test('does not depend on the order of the entries', () => {
    const shuffled = ledger.chain((entries) =>
      fc.tuple(fc.constant(entries), fc.shuffledSubarray(entries, { minLength: entries.length })),
    );
    fc.assert(
      fc.property(shuffled, ([entries, others]) => {
        expect(derivePayment(others)).toEqual(derivePayment(entries));
      }),
    );
  });

  test('is unknown exactly while a request has no outcome: nobody guesses', () => {
    fc.assert(
      fc.property(ledger, (entries) => {
        const open = entries.some(
          ({ key, phase }) =>
            phase === 'request' && !entries.some((other) => other.key === key && other.phase !== 'request'),
        );
        expect(derivePayment(entries).status === 'unknown').toBe(open);
      }),
    );
  });
});
