import { describe, expect, test } from 'vitest';
import { failure, type Shop, type Stores, times } from './shop.ts';

export function effectsConformance(made: () => { stores: Stores; shop: Shop }): void {
  const received = async () => {
    const { shop } = made();
    const { id } = await shop.accept([{ sku: await shop.sku(), quantity: 2 }]);
    return { id, step: shop.step(id, 'authorize') };
  };

  describe('effects', () => {
    const authorized = { outcome: 'authorized', authorizationId: 'auth-1' } as const;
    const neverHappened = { outcome: 'never_happened' } as const;

    test('fixes the input at the first attempt, and tells later ones that they are', async () => {
      const { stores } = made();
      const { id, step } = await received();
      const first = await stores.effects.openAuthorize(step);
      const input = { orderId: id, amountMinor: 500, currency: 'GBP', token: 'tok_visa' };
      expect(first).toEqual({ kind: 'authorize', input, outcome: undefined, first: true });
      expect(await stores.effects.openAuthorize(step)).toEqual({ ...first, first: false });
      expect(await stores.effects.find(step.key, 'authorize')).toEqual({
        kind: 'authorize',
        input,
        outcome: undefined,
      });
    });

    test('is first for one of ten attempts that come at once', async () => {
      const { stores } = made();
      const { step } = await received();
      const opened = await Promise.all(times(10, () => stores.effects.openAuthorize(step)));
      expect(opened.filter(({ first }) => first)).toHaveLength(1);
    });

    test('keeps the first outcome of several that come at once', async () => {
      const { shop, stores } = made();
      const { id, step } = await received();
      await stores.effects.openAuthorize(step);
      const outcomes = await Promise.all(
        times(8, (index) =>
          stores.effects.settle(step, 'authorize', { outcome: 'authorized', authorizationId: `auth-${index}` }),
        ),
      );
      expect(new Set(outcomes.map((outcome) => JSON.stringify(outcome))).size).toBe(1);
      expect((await shop.view(id)).payment).toMatchObject({ status: 'authorized', authorizedMinor: 500 });
      expect(await shop.types(id)).toEqual(['created', 'payment_authorized']);
    });

    test('shows a payment as unknown from the request to the outcome', async () => {
      const { shop, stores } = made();
      const { id, step } = await received();
      const before = await shop.view(id);
      await stores.effects.openAuthorize(step);
      const asked = await shop.view(id);
      expect(asked.payment.status).toBe('unknown');
      expect(asked.version).toBeGreaterThan(before.version);
      await stores.effects.settle(step, 'authorize', { outcome: 'declined', reason: 'insufficient_funds' });
      expect((await shop.view(id)).payment.status).toBe('declined');
      expect((await shop.view(id)).timeline.at(-1)).toMatchObject({
        type: 'evenkeel.order.payment_declined.v1',
        detail: { reason: 'insufficient_funds' },
      });
    });

    test('forbids a request after its undo came first', async () => {
      const { shop, stores } = made();
      const { id, step } = await received();
      expect(await stores.effects.tombstone(step, 'authorize')).toBeUndefined();
      expect(await stores.effects.tombstone(step, 'authorize')).toBeUndefined();
      await failure(stores.effects.openAuthorize(step), 'step_undone');
      expect(await stores.effects.find(step.key, 'authorize')).toBeUndefined();
      await failure(stores.effects.settle(step, 'authorize', authorized), 'not_found');
      expect((await shop.view(id)).payment.status).toBe('none');
    });

    test('shows an undo what was requested, forbids a repeat, and still records the late answer', async () => {
      const { shop, stores } = made();
      const { id, step } = await received();
      await stores.effects.openAuthorize(step);
      expect(await stores.effects.tombstone(step, 'authorize')).toMatchObject({ input: { orderId: id } });
      await failure(stores.effects.openAuthorize(step), 'step_undone');
      expect(await stores.effects.settle(step, 'authorize', authorized)).toEqual(authorized);
      expect(await stores.effects.tombstone(step, 'authorize')).toMatchObject({ outcome: authorized });
      expect((await shop.view(id)).payment).toMatchObject({ status: 'authorized', authorizedMinor: 500 });
    });

    test('lets "never happened" give way to a real outcome, and to nothing after that', async () => {
      const { shop, stores } = made();
      const { id, step } = await received();
      await stores.effects.openAuthorize(step);
      const settle = stores.effects.settle;
      expect(await settle(step, 'authorize', neverHappened)).toEqual(neverHappened);
      expect(await settle(step, 'authorize', neverHappened)).toEqual(neverHappened);
      expect((await shop.view(id)).payment.status).toBe('none');
      expect(await settle(step, 'authorize', authorized)).toEqual(authorized);
      expect((await shop.view(id)).payment).toMatchObject({ status: 'authorized', authorizedMinor: 500 });
      expect(await settle(step, 'authorize', neverHappened)).toEqual(authorized);
      expect(await settle(step, 'authorize', { outcome: 'declined', reason: 'late' })).toEqual(authorized);
      expect((await shop.view(id)).payment).toMatchObject({ status: 'authorized', authorizedMinor: 500 });
    });

    test('does not turn a cancelled fulfillment back by a late booking', async () => {
      const { shop, stores } = made();
      const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
      const book = shop.step(orderId, 'book', fulfillmentId);
      await stores.effects.openBook({ ...book, fulfillmentId });
      await stores.effects.tombstone(book, 'book');
      await stores.orders.cancelFulfillment({ ...shop.step(orderId, 'cancel_shipment'), fulfillmentId });
      await stores.effects.settle(book, 'book', { outcome: 'booked', shipmentId: 's1', trackingNumber: 't1' });
      expect((await shop.view(orderId)).fulfillments).toMatchObject([{ status: 'cancelled', shipmentId: 's1' }]);
    });

    test('books what was reserved to where the order goes, and cancels it', async () => {
      const { shop, stores } = made();
      const sku = await shop.sku({ main: 5 });
      const { orderId, fulfillmentId } = await shop.confirmed([
        { sku, quantity: 2 },
        { sku, quantity: 1 },
      ]);
      const book = shop.step(orderId, 'book', fulfillmentId);
      const opened = await stores.effects.openBook({ ...book, fulfillmentId });
      expect(opened.input).toMatchObject({
        location: 'main',
        address: { city: 'London' },
        items: [{ sku, quantity: 3 }],
      });
      await stores.effects.settle(book, 'book', { outcome: 'booked', shipmentId: 's1', trackingNumber: 't1' });
      expect((await shop.view(orderId)).fulfillments).toMatchObject([{ status: 'booked', shipmentId: 's1' }]);
      await failure(
        stores.effects.openBook({ ...shop.step(orderId, 'book', fulfillmentId, 2), fulfillmentId }),
        'illegal_transition',
      );
      const cancel = shop.step(orderId, 'cancel_shipment', fulfillmentId);
      await stores.effects.open(cancel, 'cancel_shipment', { shipmentId: 's1', fulfillmentId });
      await stores.effects.settle(cancel, 'cancel_shipment', { outcome: 'cancelled' });
      expect((await shop.types(orderId)).slice(-2)).toEqual(['shipment_booked', 'shipment_cancelled']);
    });

    test('leaves a shipment as it is that had left before it was cancelled', async () => {
      const { shop, stores } = made();
      const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
      const shipmentId = await shop.book(orderId, fulfillmentId);
      const cancel = shop.step(orderId, 'cancel_shipment', fulfillmentId);
      await stores.effects.open(cancel, 'cancel_shipment', { shipmentId, fulfillmentId });
      await stores.effects.settle(cancel, 'cancel_shipment', { outcome: 'already_dispatched' });
      expect((await shop.view(orderId)).fulfillments).toMatchObject([{ status: 'booked' }]);
    });

    test('counts captures and refunds, and shows what was refused', async () => {
      const { shop, stores } = made();
      const { effects } = stores;
      const sku = await shop.sku({ main: 1, north: 1 }, 300);
      const { orderId, fulfillments, authorizationId } = await shop.confirmed([{ sku, quantity: 2 }]);
      const money = { orderId, amountMinor: 300, currency: 'GBP' };
      const capture = async (fulfillmentId: string, outcome: Parameters<typeof effects.settle<'capture'>>[2]) => {
        const step = shop.step(orderId, 'capture', fulfillmentId);
        await effects.open(step, 'capture', { ...money, authorizationId, fulfillmentId });
        await effects.settle(step, 'capture', outcome);
        return (await shop.view(orderId)).payment;
      };
      const [first = '', second = ''] = fulfillments.map(({ id }) => id);
      expect(await capture(first, { outcome: 'refused', reason: 'expired' })).toMatchObject({ status: 'authorized' });
      expect(await capture(second, { outcome: 'captured', captureId: 'c2' })).toMatchObject({
        status: 'partially_captured',
        capturedMinor: 300,
      });
      const refund = shop.step(orderId, 'refund', second);
      await effects.open(refund, 'refund', { ...money, captureId: 'c2', fulfillmentId: second });
      await effects.settle(refund, 'refund', { outcome: 'refunded', refundId: 'r2' });
      const { payment, timeline } = await shop.view(orderId);
      expect(payment).toMatchObject({ status: 'refunded', refundedMinor: 300 });
      expect(timeline.find(({ type }) => type === 'evenkeel.order.payment_failed.v1')).toMatchObject({
        detail: { operation: 'capture', reason: 'expired', fulfillmentId: first },
      });
    });

    test('refuses a key for another kind of effect', async () => {
      const { stores } = made();
      const { step } = await received();
      await stores.effects.openAuthorize(step);
      const refused = await failure(stores.effects.tombstone(step, 'void'), 'conflict');
      expect(refused.message).toContain("'authorize', not 'void'");
      await failure(stores.effects.find(step.key, 'capture'), 'conflict');
    });

    test('authorizes nothing for an order at its end', async () => {
      const { shop, stores } = made();
      const { id, step } = await received();
      await stores.orders.finish({ ...shop.step(id, 'finish'), status: 'rejected', reason: 'x' });
      await failure(stores.effects.openAuthorize(step), 'illegal_transition');
      expect((await shop.view(id)).payment.status).toBe('none');
    });

    test('lists what has no answer, or was thought never to have happened, until it has one', async () => {
      const { stores } = made();
      const { id, step } = await received();
      const mine = async (olderThanMs: number) =>
        (await stores.effects.unsettled(olderThanMs, 1000)).filter(({ orderId }) => orderId === id);
      await stores.effects.openAuthorize(step);
      expect(await mine(60_000)).toEqual([]);
      expect(await mine(0)).toEqual([{ orderId: id, key: step.key, kind: 'authorize' }]);
      await stores.effects.settle(step, 'authorize', neverHappened);
      expect(await mine(0)).toHaveLength(1);
      await stores.effects.settle(step, 'authorize', authorized);
      expect(await mine(0)).toEqual([]);
    });

    test('does not let what stays unanswered hold up the rest', async () => {
      const { stores } = made();
      const silent = await received();
      await stores.effects.openAuthorize(silent.step);
      const asked = await stores.effects.unsettled(0, 1);
      const other = await received();
      await stores.effects.openAuthorize(other.step);
      const next = await stores.effects.unsettled(0, 1);
      expect(next[0]?.key).not.toBe(asked[0]?.key);
    });
  });
}
