import { describe, expect, test } from 'vitest';
import { failure, type Shop, type Stores } from './shop.ts';

export function bookingsConformance(made: () => { stores: Stores; shop: Shop }): void {
  describe('bookings', () => {
    const s1 = { outcome: 'booked', shipmentId: 's1', trackingNumber: 't1' } as const;
    const s2 = { outcome: 'booked', shipmentId: 's2', trackingNumber: 't2' } as const;

    /** A fulfillment whose first booking was asked for and is forbidden since. */
    const corrected = async () => {
      const { shop, stores } = made();
      const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
      const book = (generation: number) => shop.step(orderId, 'book', fulfillmentId, generation);
      const openBook = (generation: number) => stores.effects.openBook({ ...book(generation), fulfillmentId });
      const cancelShipment = async (shipmentId: string) => {
        const cancel = shop.step(orderId, 'cancel_shipment', `${fulfillmentId}-of-${shipmentId}`);
        await stores.effects.open(cancel, 'cancel_shipment', { shipmentId, fulfillmentId });
        await stores.effects.settle(cancel, 'cancel_shipment', { outcome: 'cancelled' });
      };
      const shown = async () => (await shop.view(orderId)).fulfillments[0];
      await openBook(1);
      return { orderId, fulfillmentId, book, openBook, cancelShipment, shown };
    };

    test('lets a fulfillment be booked anew once its booking is taken back', async () => {
      const { effects, orders } = made().stores;
      const { orderId, fulfillmentId, book, openBook, cancelShipment, shown } = await corrected();
      await effects.settle(book(1), 'book', s1);
      await effects.tombstone(book(1), 'book');
      await failure(openBook(2), 'illegal_transition');
      await cancelShipment('s1');
      expect(await shown()).toMatchObject({
        status: 'pending',
        shipmentId: null,
        trackingNumber: null,
        bookedAt: null,
      });
      await openBook(2);
      await effects.settle(book(2), 'book', s2);
      expect(await shown()).toMatchObject({ status: 'booked', shipmentId: 's2', trackingNumber: 't2' });
      await cancelShipment('s2');
      await orders.cancelFulfillment({ ...made().shop.step(orderId, 'cancel_shipment', 'x'), fulfillmentId });
      expect(await shown()).toMatchObject({ status: 'cancelled' });
      // Each shipment's end is told once.
      const told = (await made().shop.types(orderId)).filter((type) => type === 'shipment_cancelled');
      expect(told).toHaveLength(2);
    });

    test('books nothing beside a booking that may be in force', async () => {
      const { effects } = made().stores;
      const { book, openBook } = await corrected();
      await failure(openBook(2), 'illegal_transition');
      await effects.settle(book(1), 'book', { outcome: 'refused', reason: 'address' });
      expect(await openBook(2)).toMatchObject({ first: true });
    });

    test.each(['before', 'after'])(
      'keeps the shipment in force when a forgotten one lands %s its answer',
      async (when) => {
        const { effects } = made().stores;
        const { book, openBook, cancelShipment, shown } = await corrected();
        await effects.tombstone(book(1), 'book');
        await effects.settle(book(1), 'book', { outcome: 'never_happened' });
        await openBook(2);
        const answer = () => effects.settle(book(2), 'book', s2);
        const land = () => effects.settle(book(1), 'book', s1);
        await (when === 'before' ? land() : answer());
        expect((await shown())?.shipmentId).toBe(when === 'before' ? null : 's2');
        await (when === 'before' ? answer() : land());
        const inForce = { status: 'booked', shipmentId: 's2', trackingNumber: 't2' };
        expect(await shown()).toMatchObject(inForce);
        await cancelShipment('s1');
        expect(await shown()).toMatchObject(inForce);
      },
    );

    test('shows the shipment that an undo found and could not call off', async () => {
      const { shop, stores } = made();
      const { orderId, fulfillmentId, book, shown } = await corrected();
      await stores.effects.tombstone(book(1), 'book');
      await stores.effects.settle(book(1), 'book', s1);
      await shop.dispatch(orderId, fulfillmentId);
      expect(await shown()).toMatchObject({ status: 'dispatched', shipmentId: 's1' });
    });
  });
}
