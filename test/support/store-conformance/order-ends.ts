import { describe, expect, test } from 'vitest';
import type { Attention } from '../../../src/domain/step-ports.ts';
import { failure, type Shop, type Stores } from './shop.ts';

const stuck = (attentionId: string): Attention => ({
  attentionId,
  step: 'book',
  reason: 'refused',
  allowed: ['retry'],
});

const illegal = (promise: Promise<unknown>) => failure(promise, 'illegal_transition');

export function orderEndsConformance(made: () => { stores: Stores; shop: Shop }): void {
  describe("an order's end", () => {
    const now = new Date().toISOString();

    test.each(['completed', 'partially_completed'] as const)(
      'withdraws a cancellation that still stands where the order ends as %s all the same',
      async (status) => {
        const { shop, stores } = made();
        const sku = await shop.sku({ main: 1, north: 1 });
        const { orderId, fulfillmentId } = await shop.confirmed([{ sku, quantity: 2 }]);
        await stores.requests.cancel(orderId, { reason: 'too slow' });
        await shop.dispatch(orderId, fulfillmentId);
        await stores.orders.finish({ ...shop.step(orderId, 'finish'), status, reason: null });
        const { cancelRequestedAt, timeline } = await shop.view(orderId);
        expect(cancelRequestedAt).toBeNull();
        expect(timeline.slice(-2)).toMatchObject([
          { type: 'evenkeel.order.cancellation_withdrawn.v1', detail: { reason: `order_${status}` } },
          { type: `evenkeel.order.${status}.v1` },
        ]);
      },
    );

    test('remembers that a cancelled order was cancelled on demand', async () => {
      const { shop, stores } = made();
      const { id } = await shop.accept([{ sku: await shop.sku(), quantity: 1 }]);
      await stores.requests.cancel(id, { reason: 'too slow' });
      await stores.orders.finish({ ...shop.step(id, 'finish'), status: 'cancelled', reason: 'cancel_requested' });
      expect((await shop.view(id)).cancelRequestedAt).not.toBeNull();
      expect(await shop.types(id)).not.toContain('cancellation_withdrawn');
    });

    test('lets nothing begin at an order that is at its end, but what gives back', async () => {
      const { shop, stores } = made();
      const { orders, stock, screening, effects } = stores;
      const sku = await shop.sku({ main: 5 });
      const { orderId, fulfillmentId, authorizationId } = await shop.confirmed([{ sku, quantity: 1 }]);
      await orders.openAttention({ ...shop.step(orderId, 'open_attention'), ...stuck('a1') });
      await orders.finish({ ...shop.step(orderId, 'finish'), status: 'cancelled', reason: 'x' });
      const end = await shop.view(orderId);
      const again = (name: Parameters<Shop['step']>[1]) => ({
        ...shop.step(orderId, name, fulfillmentId, 2),
        fulfillmentId,
      });
      const money = { orderId, amountMinor: 250, currency: 'GBP' };
      await illegal(screening.screen(again('screen')));
      await illegal(stock.reserve(again('reserve')));
      await illegal(orders.confirm(again('confirm')));
      await illegal(orders.dispatch({ ...again('dispatch'), at: now }));
      await illegal(orders.cancelFulfillment(again('cancel_shipment')));
      await illegal(orders.withdrawCancellation({ ...again('withdraw_cancellation'), reason: 'x' }));
      await illegal(orders.openAttention({ ...again('open_attention'), ...stuck('a2') }));
      await illegal(effects.openBook(again('book')));
      await illegal(effects.open(again('capture'), 'capture', { ...money, authorizationId, fulfillmentId }));
      expect(await shop.view(orderId)).toEqual(end);
      // What was settled before is answered as before.
      await orders.finish({ ...shop.step(orderId, 'finish'), status: 'cancelled', reason: 'x' });
      const how = { by: 'recovery' } as const;
      await orders.closeAttention({ ...shop.step(orderId, 'close_attention'), attentionId: 'a1', how });
      const undo = { ...shop.step(orderId, 'release'), undoes: shop.step(orderId, 'reserve').key };
      expect(await stock.release(undo)).toEqual({ releasedLines: 1 });
    });
  });
}
