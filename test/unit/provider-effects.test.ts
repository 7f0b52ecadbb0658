import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DomainFailure } from '../../src/domain/failures.ts';
import type { PaymentGateway, Payments } from '../../src/domain/provider-ports.ts';
import type { Attempt } from '../../src/domain/step-ports.ts';
import { recordedPayments, recordedShipping, resolveUnknown, undoStray } from '../../src/domain/provider-effects.ts';
import { MemoryJournal } from '../support/memory-effects.ts';
import { MemoryCarrier, MemoryGateway } from '../support/memory-providers.ts';

const attempt: Attempt = { signal: new AbortController().signal };
const authorizeStep = { orderId: 'o', key: 'order-o:authorize:1' };
const undoStep = { orderId: 'o', key: 'order-o:void:1', undoes: authorizeStep.key };

function scene(token = 'tok_visa') {
  const facts = { totalMinor: 1000, currency: 'GBP', token, postalCode: 'AB1' };
  const journal = new MemoryJournal(facts);
  const gateway = new MemoryGateway();
  const carrier = new MemoryCarrier();
  return { facts, journal, gateway, carrier, payments: recordedPayments(journal, gateway) };
}

type Trouble = 'before' | 'after' | 'late' | 'none';

/** A gateway whose next calls go wrong as told; `late` ones happen when `land` is called. */
function troubled(gateway: PaymentGateway, troubles: Trouble[]) {
  const waiting: (() => Promise<unknown>)[] = [];
  const wrong = async <T>(effect: () => Promise<T>): Promise<T> => {
    const trouble = troubles.shift() ?? 'none';
    if (trouble === 'none') return effect();
    if (trouble === 'after') await effect();
    if (trouble === 'late') waiting.push(effect);
    throw new DomainFailure('provider_timeout', 'no answer');
  };
  const faulty: PaymentGateway = {
    authorize: (...args) => wrong(() => gateway.authorize(...args)),
    capture: (...args) => wrong(() => gateway.capture(...args)),
    void: (...args) => wrong(() => gateway.void(...args)),
    refund: (...args) => wrong(() => gateway.refund(...args)),
    lookup: (...args) => gateway.lookup(...args),
  };
  const land = async (): Promise<void> => {
    for (const effect of waiting.splice(0)) await effect();
  };
  return { faulty, land };
}

/** Tries again while the trouble lasts, as the workflow would. */
async function insist<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof DomainFailure) || error.code !== 'provider_timeout') throw error;
    }
  }
}

const troubles = fc.array(fc.constantFrom<Trouble>('before', 'after', 'late', 'none'), { maxLength: 6 });

describe('a step at a provider', () => {
  test('happens once, whatever goes wrong on the way', async () => {
    await fc.assert(
      fc.asyncProperty(troubles, async (given) => {
        const { journal, gateway } = scene();
        const { faulty, land } = troubled(gateway, [...given]);
        const payments = recordedPayments(journal, faulty);
        const outcome = await insist(() => payments.authorize(authorizeStep, attempt));
        await land();
        expect(outcome).toEqual({ outcome: 'authorized', authorizationId: 'auth-1' });
        expect(await payments.authorize(authorizeStep, attempt)).toEqual(outcome);
        expect(gateway.authorizations).toHaveLength(1);
      }),
    );
  });

  test('sends what its first attempt fixed, whatever changed in the order since', async () => {
    const { facts, journal, gateway } = scene('tok_visa');
    const payments = recordedPayments(journal, troubled(gateway, ['before']).faulty);
    await expect(payments.authorize(authorizeStep, attempt)).rejects.toThrow('no answer');
    facts.token = 'tok_mastercard';
    await payments.authorize(authorizeStep, attempt);
    expect(gateway.authorizations[0]?.token).toBe('tok_visa');
  });

  test('asks the provider first if an earlier attempt may have reached it', async () => {
    const { journal, gateway } = scene();
    const asked: string[] = [];
    const { faulty } = troubled(gateway, ['after']);
    const payments = recordedPayments(journal, {
      ...faulty,
      authorize: (key, ...rest) => {
        asked.push('send');
        return faulty.authorize(key, ...rest);
      },
      lookup: (key, ...rest) => {
        asked.push('ask');
        return faulty.lookup(key, ...rest);
      },
    });
    await insist(() => payments.authorize(authorizeStep, attempt));
    expect(asked).toEqual(['send', 'ask']);
  });

  test('does not begin once it was undone', async () => {
    const { payments, gateway } = scene();
    expect(await payments.undoAuthorize({ ...undoStep, final: false }, attempt)).toEqual({ outcome: 'nothing' });
    await expect(payments.authorize(authorizeStep, attempt)).rejects.toMatchObject({ code: 'step_undone' });
    expect(gateway.authorizations).toEqual([]);
  });

  test('refuses an answer that belongs to another operation', async () => {
    const { journal, gateway } = scene();
    const payments = recordedPayments(journal, {
      ...troubled(gateway, ['before']).faulty,
      lookup: () => Promise.resolve({ outcome: 'voided' }),
    });
    await expect(payments.authorize(authorizeStep, attempt)).rejects.toMatchObject({ code: 'provider_timeout' });
    await expect(payments.authorize(authorizeStep, attempt)).rejects.toMatchObject({ code: 'provider_rejected' });
  });

  test('captures nothing that was not authorized', async () => {
    const { payments, gateway } = scene();
    const step = { orderId: 'o', key: 'order-o:capture:o-1:1', fulfillmentId: 'o-1', amountMinor: 1, currency: 'GBP' };
    const capture = payments.capture({ ...step, authorizeKey: authorizeStep.key }, attempt);
    await expect(capture).rejects.toMatchObject({ code: 'conflict' });
    expect(gateway.captures).toEqual([]);
  });
});

describe('a share of nothing', () => {
  test('is captured and given back without the gateway, which would refuse it', async () => {
    const { journal, gateway } = scene();
    const refusing: PaymentGateway = {
      ...troubled(gateway, []).faulty,
      capture: () => Promise.reject(new DomainFailure('provider_rejected', 'an amount must be positive')),
      refund: () => Promise.reject(new DomainFailure('provider_rejected', 'an amount must be positive')),
    };
    const payments = recordedPayments(journal, refusing);
    await payments.authorize(authorizeStep, attempt);
    const capture = { orderId: 'o', key: 'order-o:capture:o-1:1', fulfillmentId: 'o-1' };
    const amount = { amountMinor: 0, currency: 'GBP', authorizeKey: authorizeStep.key };
    const captured = await payments.capture({ ...capture, ...amount }, attempt);
    expect(captured).toMatchObject({ outcome: 'captured' });
    expect(await payments.capture({ ...capture, ...amount }, attempt)).toEqual(captured);
    const refund = { orderId: 'o', key: 'order-o:refund:o-1:1', undoes: capture.key, fulfillmentId: 'o-1' };
    expect(await payments.undoCapture({ ...refund, final: false }, attempt)).toEqual({ outcome: 'undone' });
    expect(gateway.captures).toEqual([]);
  });
});

describe('an undo at a provider', () => {
  /** Undoes as the workflow does: looks, waits for what may be on its way, and looks once more. */
  async function undo(payments: Payments, land: () => Promise<void>): Promise<string> {
    const first = await insist(() => payments.undoAuthorize({ ...undoStep, final: false }, attempt));
    if (first.outcome !== 'look_again') return first.outcome;
    await land();
    return (await insist(() => payments.undoAuthorize({ ...undoStep, final: true }, attempt))).outcome;
  }

  test('leaves nothing in force, whenever it comes and whatever went wrong before and meanwhile', async () => {
    await fc.assert(
      fc.asyncProperty(troubles, fc.nat({ max: 4 }), async (given, attempts) => {
        const { journal, gateway } = scene();
        const { faulty, land } = troubled(gateway, [...given]);
        const payments = recordedPayments(journal, faulty);
        for (let n = 0; n < attempts; n += 1) {
          await payments.authorize(authorizeStep, attempt).catch(() => undefined);
        }
        const outcome = await undo(payments, land);
        await land();
        expect(gateway.authorizations.filter(({ voided }) => !voided)).toEqual([]);
        expect(outcome).toBe(gateway.authorizations.length > 0 ? 'undone' : 'nothing');
      }),
    );
  });

  test('takes back what became known while it gave up looking', async () => {
    const { journal, gateway } = scene();
    const { faulty, land } = troubled(gateway, ['late']);
    const authorized = { outcome: 'authorized', authorizationId: 'auth-1' } as const;
    const payments = recordedPayments(journal, {
      ...faulty,
      lookup: async () => {
        // Somebody else asks a moment later, and is told.
        await land();
        await journal.settle(authorizeStep, 'authorize', authorized);
        return undefined;
      },
    });
    await expect(payments.authorize(authorizeStep, attempt)).rejects.toThrow('no answer');
    expect(await payments.undoAuthorize({ ...undoStep, final: true }, attempt)).toEqual({ outcome: 'undone' });
    expect(gateway.authorizations).toMatchObject([{ voided: true }]);
  });

  test('does nothing more where the effect was taken back under another key', async () => {
    const { journal, payments, gateway, carrier } = scene();
    const shipping = recordedShipping(journal, carrier);
    await payments.authorize(authorizeStep, attempt);
    const stray = { ...authorizeStep, kind: 'authorize', fulfillmentId: null } as const;
    await undoStray({ payments, shipping }, stray, attempt);
    gateway.refuse(undoStep.key, { outcome: 'refused', reason: 'nothing_left' });
    expect(await payments.undoAuthorize({ ...undoStep, final: false }, attempt)).toEqual({ outcome: 'undone' });
  });

  test('has nothing to do where the provider had declined', async () => {
    const { payments, gateway } = scene();
    gateway.refuse(authorizeStep.key, { outcome: 'declined', reason: 'insufficient_funds' });
    await payments.authorize(authorizeStep, attempt);
    expect(await payments.undoAuthorize({ ...undoStep, final: false }, attempt)).toEqual({ outcome: 'nothing' });
  });

  test('says so if the provider refuses it', async () => {
    const { payments, gateway } = scene();
    await payments.authorize(authorizeStep, attempt);
    gateway.refuse(undoStep.key, { outcome: 'refused', reason: 'settled' });
    expect(await payments.undoAuthorize({ ...undoStep, final: false }, attempt)).toEqual({
      outcome: 'refused',
      reason: 'settled',
    });
  });

  test('of a capture gives all of it back, once', async () => {
    const { payments, gateway } = scene();
    await payments.authorize(authorizeStep, attempt);
    const capture = { orderId: 'o', key: 'order-o:capture:o-1:1', fulfillmentId: 'o-1' };
    const amount = { amountMinor: 400, currency: 'GBP', authorizeKey: authorizeStep.key };
    await payments.capture({ ...capture, ...amount }, attempt);
    const refund = { orderId: 'o', key: 'order-o:refund:o-1:1', undoes: capture.key, fulfillmentId: 'o-1' };
    expect(await payments.undoCapture({ ...refund, final: false }, attempt)).toEqual({ outcome: 'undone' });
    expect(await payments.undoCapture({ ...refund, final: false }, attempt)).toEqual({ outcome: 'undone' });
    expect(gateway.captures).toMatchObject([{ amountMinor: 400, refunded: true }]);
  });

  test('of a shipment tells one that was cancelled from one that has left', async () => {
    const { journal, carrier } = scene();
    const shipping = recordedShipping(journal, carrier);
    for (const [fulfillmentId, left] of [
      ['o-1', false],
      ['o-2', true],
    ] as const) {
      const key = `order-o:book:${fulfillmentId}:1`;
      await shipping.book({ orderId: 'o', key, fulfillmentId }, attempt);
      if (left) carrier.take(fulfillmentId);
      const undoBook = { orderId: 'o', key: `order-o:cancel_shipment:${fulfillmentId}:1`, undoes: key, fulfillmentId };
      const { outcome } = await shipping.undoBook({ ...undoBook, final: false }, attempt);
      expect(outcome).toBe(left ? 'already_dispatched' : 'undone');
    }
  });
});

describe('an effect that nobody waited for', () => {
  test('is found by asking, and taken back under a key of its own', async () => {
    const { journal, gateway, carrier } = scene();
    const { faulty, land } = troubled(gateway, ['late']);
    const payments = recordedPayments(journal, faulty);
    const shipping = recordedShipping(journal, carrier);
    await expect(payments.authorize(authorizeStep, attempt)).rejects.toThrow('no answer');
    await payments.undoAuthorize({ ...undoStep, final: true }, attempt);
    const unknown = { ...authorizeStep, kind: 'authorize' } as const;
    const world = { journal, gateway: faulty, carrier };
    expect(await resolveUnknown(world, unknown, attempt)).toBe(false);
    await land();
    expect(await resolveUnknown(world, unknown, attempt)).toBe(true);
    const stray = { ...unknown, fulfillmentId: null };
    expect(await undoStray({ payments, shipping }, stray, attempt)).toEqual({ outcome: 'undone' });
    expect(await undoStray({ payments, shipping }, stray, attempt)).toEqual({ outcome: 'undone' });
    expect(gateway.authorizations).toMatchObject([{ voided: true }]);
    expect(journal.rows.has('order-o:void:late:1')).toBe(true);
  });
});
