import { describe, expect, test } from 'vitest';
import type { Shop, Stores } from './shop.ts';

export function straysConformance(made: () => { stores: Stores; shop: Shop }): void {
  describe('strays', () => {
    const authorized = { outcome: 'authorized', authorizationId: 'auth-1' } as const;
    const neverHappened = { outcome: 'never_happened' } as const;
    const received = async () => {
      const { shop } = made();
      const { id } = await shop.accept([{ sku: await shop.sku(), quantity: 2 }]);
      return { id, step: shop.step(id, 'authorize') };
    };

    test('lists an effect that landed after its undo, until it is taken back', async () => {
      const { shop, stores } = made();
      const { effects, orders } = stores;
      const { id, step } = await received();
      const mine = async () => (await effects.strays(1000)).filter(({ orderId }) => orderId === id);
      await effects.openAuthorize(step);
      await effects.tombstone(step, 'authorize');
      await effects.settle(step, 'authorize', neverHappened);
      await effects.settle(step, 'authorize', authorized);
      // Its workflow is still at work, and may be about to undo it.
      expect(await mine()).toEqual([]);
      await orders.finish({ ...shop.step(id, 'finish'), status: 'rejected', reason: 'x' });
      expect(await mine()).toEqual([{ orderId: id, key: step.key, kind: 'authorize', fulfillmentId: null }]);
      const late = shop.step(id, 'void', 'late');
      const input = { orderId: id, amountMinor: 500, currency: 'GBP', authorizationId: 'auth-1' };
      await effects.open(late, 'void', input);
      expect(await mine()).toHaveLength(1);
      await effects.settle(late, 'void', { outcome: 'voided' });
      expect(await mine()).toEqual([]);
      expect((await shop.view(id)).payment.status).toBe('voided');
      expect(await effects.find(step.key, 'authorize')).toMatchObject({ undone: true });
    });

    const strays = async (id: string) =>
      (await made().stores.effects.strays(1000)).filter(({ orderId }) => orderId === id);

    const captured = { outcome: 'captured', captureId: 'c1' } as const;
    /** Dispatched, its share asked for, the undo of that begun, and nothing answered yet. */
    const capturing = async () => {
      const { shop, stores } = made();
      const { orderId, fulfillmentId, authorizationId } = await shop.confirmed([
        { sku: await shop.sku(), quantity: 1 },
      ]);
      await shop.dispatch(orderId, fulfillmentId);
      const money = { orderId, amountMinor: 250, currency: 'GBP', fulfillmentId };
      const capture = shop.step(orderId, 'capture', fulfillmentId);
      const refund = shop.step(orderId, 'refund', fulfillmentId);
      await stores.effects.open(capture, 'capture', { ...money, authorizationId });
      const askBack = () => stores.effects.open(refund, 'refund', { ...money, captureId: 'c1' });
      const finish = async () => {
        await stores.orders.failDelivery({
          ...shop.step(orderId, 'fail_delivery', fulfillmentId),
          fulfillmentId,
          reason: 'lost',
        });
        await stores.orders.finish({ ...shop.step(orderId, 'finish'), status: 'cancelled', reason: 'lost' });
      };
      return { orderId, fulfillmentId, capture, refund, askBack, finish };
    };

    test('lists nothing that its undo knew of: a person who skipped the undo has seen to it', async () => {
      const { effects } = made().stores;
      const { orderId, capture, finish } = await capturing();
      await effects.settle(capture, 'capture', captured);
      await effects.tombstone(capture, 'capture');
      await finish();
      expect(await strays(orderId)).toEqual([]);
    });

    test('lists nothing that a person saw to before it was known', async () => {
      const { shop, stores } = made();
      const { orderId, fulfillmentId, capture, finish } = await capturing();
      await stores.effects.tombstone(capture, 'capture');
      const attention = { attentionId: 'a1', step: 'refund', fulfillmentId, reason: 'x', allowed: ['skip'] } as const;
      await stores.orders.openAttention({ ...shop.step(orderId, 'open_attention'), ...attention });
      const how = { by: 'decision', decisionId: 'd1', action: 'skip' } as const;
      await stores.orders.closeAttention({ ...shop.step(orderId, 'close_attention'), attentionId: 'a1', how });
      await finish();
      await stores.effects.settle(capture, 'capture', captured);
      expect(await strays(orderId)).toEqual([]);
    });

    test.each([
      ['refused', { outcome: 'refused', reason: 'too_late' }],
      ['not answered', undefined],
    ] as const)('lists nothing whose undo was asked for, and %s', async (_, answer) => {
      const { effects } = made().stores;
      const { orderId, capture, refund, askBack, finish } = await capturing();
      await effects.tombstone(capture, 'capture');
      await effects.settle(capture, 'capture', captured);
      await askBack();
      if (answer !== undefined) await effects.settle(refund, 'refund', answer);
      await finish();
      expect(await strays(orderId)).toEqual([]);
    });

    test('lists no shipment that could not be called off', async () => {
      const { shop, stores } = made();
      const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
      const shipmentId = await shop.book(orderId, fulfillmentId);
      await stores.effects.tombstone(shop.step(orderId, 'book', fulfillmentId), 'book');
      const cancel = shop.step(orderId, 'cancel_shipment', fulfillmentId);
      await stores.effects.open(cancel, 'cancel_shipment', { shipmentId, fulfillmentId });
      await stores.effects.settle(cancel, 'cancel_shipment', { outcome: 'already_dispatched' });
      await shop.dispatch(orderId, fulfillmentId);
      await stores.orders.deliver({
        ...shop.step(orderId, 'deliver', fulfillmentId),
        fulfillmentId,
        at: new Date().toISOString(),
      });
      await stores.orders.finish({ ...shop.step(orderId, 'finish'), status: 'completed', reason: null });
      expect(await strays(orderId)).toEqual([]);
    });
  });
}
