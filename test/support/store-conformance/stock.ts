import { describe, expect, test } from 'vitest';
import { failure, type Shop, type Stores, times } from './shop.ts';

const release = (shop: Shop, orderId: string, fulfillmentId?: string) => ({
  ...shop.step(orderId, 'release', fulfillmentId),
  undoes: shop.step(orderId, 'reserve').key,
  fulfillmentId,
});

export function stockConformance(made: () => { stores: Stores; shop: Shop }): void {
  describe('stock', () => {
    test('never sells more than there is, however many reserve at once', async () => {
      const { shop, stores } = made();
      const sku = await shop.sku({ main: 60 });
      const orders = await Promise.all(times(100, () => shop.accept([{ sku, quantity: 1 }])));
      const results = await Promise.all(orders.map(({ id }) => stores.stock.reserve(shop.step(id, 'reserve'))));
      expect(results.filter(({ outcome }) => outcome === 'reserved')).toHaveLength(60);
      expect(await shop.level(sku)).toEqual({ onHand: 60, reserved: 60 });
    });

    test('does not deadlock where orders want the same SKUs in opposite order', async () => {
      const { shop, stores } = made();
      const skus = await Promise.all(times(6, () => shop.sku({ main: 1000, north: 1000 })));
      const orders = await Promise.all(
        times(40, (index) =>
          shop.accept((index % 2 ? skus : skus.toReversed()).map((sku) => ({ sku, quantity: 1 + (index % 3) }))),
        ),
      );
      await Promise.all(
        orders.map(async ({ id }, index) => {
          await shop.reserve(id);
          if (index % 2) await stores.stock.release(release(shop, id));
        }),
      );
      const left = orders.reduce((sum, _, index) => sum + (index % 2 ? 0 : 1 + (index % 3)), 0);
      expect(await Promise.all(skus.map((sku) => shop.level(sku)))).toEqual(
        skus.map(() => ({ onHand: 2000, reserved: left })),
      );
    });

    test('reserves all lines or none, and names what is short', async () => {
      const { shop, stores } = made();
      const [plenty, short] = [await shop.sku({ main: 10 }), await shop.sku({ main: 3, north: 3 })];
      const { id } = await shop.accept([
        { sku: plenty, quantity: 1 },
        { sku: short, quantity: 4 },
        { sku: short, quantity: 3 },
      ]);
      const result = await stores.stock.reserve(shop.step(id, 'reserve'));
      expect(result).toEqual({ outcome: 'out_of_stock', skus: [short] });
      expect(await shop.level(plenty)).toEqual({ onHand: 10, reserved: 0 });
      expect((await shop.view(id)).fulfillments).toEqual([]);
    });

    test('takes everything from one place where one place has it', async () => {
      const { shop } = made();
      const [a, b] = [await shop.sku({ main: 9, north: 2 }), await shop.sku({ main: 1, north: 2 })];
      const { id } = await shop.accept([
        { sku: a, quantity: 2 },
        { sku: b, quantity: 2 },
      ]);
      expect(await shop.reserve(id)).toEqual([{ id: expect.any(String), location: 'north', amountMinor: 1000 }]);
    });

    test('splits a line over places so that the shares add up to the total', async () => {
      const { shop } = made();
      const sku = await shop.sku({ main: 2, north: 5, south: 4 }, 333);
      const { id, totalMinor } = await shop.accept([{ sku, quantity: 10 }]);
      const plan = await shop.reserve(id);
      expect(plan.map(({ location, amountMinor }) => [location, amountMinor])).toEqual([
        ['north', 1665],
        ['south', 1332],
        ['main', 333],
      ]);
      expect(plan.reduce((sum, { amountMinor }) => sum + amountMinor, 0)).toBe(totalMinor);
      const { fulfillments } = await shop.view(id);
      expect(fulfillments.map(({ status, items }) => [status, items])).toEqual([
        ['pending', [{ sku, quantity: 5 }]],
        ['pending', [{ sku, quantity: 4 }]],
        ['pending', [{ sku, quantity: 1 }]],
      ]);
    });

    test('reserves an order of six hundred lines', async () => {
      const { shop } = made();
      const skus = await Promise.all(times(300, () => shop.sku({ main: 10 }, 7)));
      const { id, totalMinor } = await shop.accept([...skus, ...skus].map((sku) => ({ sku, quantity: 2 })));
      expect(await shop.reserve(id)).toMatchObject([{ amountMinor: totalMinor }]);
      expect(await shop.level(skus[299] ?? '')).toEqual({ onHand: 10, reserved: 4 });
    });

    test('reserves nothing once the reservation was undone before it came', async () => {
      const { shop, stores } = made();
      const sku = await shop.sku({ main: 5 });
      const { id } = await shop.accept([{ sku, quantity: 1 }]);
      expect(await stores.stock.release(release(shop, id))).toEqual({ releasedLines: 0 });
      await failure(stores.stock.reserve(shop.step(id, 'reserve')), 'step_undone');
      expect(await shop.level(sku)).toEqual({ onHand: 5, reserved: 0 });
      expect((await shop.view(id)).version).toBe(1);
    });

    test('gives back all that was reserved, once, and lets nobody build on it any more', async () => {
      const { shop, stores } = made();
      const sku = await shop.sku({ main: 3, north: 3 });
      const { id } = await shop.accept([{ sku, quantity: 5 }]);
      await shop.reserve(id);
      expect(await stores.stock.release(release(shop, id))).toEqual({ releasedLines: 2 });
      expect(await stores.stock.release(release(shop, id))).toEqual({ releasedLines: 2 });
      expect(await shop.level(sku)).toEqual({ onHand: 6, reserved: 0 });
      expect((await shop.view(id)).fulfillments.map(({ status }) => status)).toEqual(['cancelled', 'cancelled']);
      expect(await shop.types(id)).toEqual(['created', 'stock_reserved', 'stock_released']);
      await failure(stores.stock.reserve(shop.step(id, 'reserve')), 'step_undone');
      const anew = await stores.stock.reserve(shop.step(id, 'reserve', undefined, 2));
      expect(anew).toMatchObject({ outcome: 'reserved', fulfillments: [{ id: `${id}-3` }, { id: `${id}-4` }] });
    });

    test('gives back the share of one fulfillment and leaves the others', async () => {
      const { shop, stores } = made();
      const sku = await shop.sku({ main: 3, north: 2 });
      const { id } = await shop.accept([{ sku, quantity: 5 }]);
      const [main] = await shop.reserve(id);
      expect(await stores.stock.release(release(shop, id, main?.id))).toEqual({ releasedLines: 1 });
      expect(await shop.level(sku)).toEqual({ onHand: 5, reserved: 2 });
      expect(await stores.stock.reserve(shop.step(id, 'reserve'))).toMatchObject({ outcome: 'reserved' });
    });

    test('does not give back what has left the house', async () => {
      const { shop, stores } = made();
      const sku = await shop.sku({ main: 3, north: 2 });
      const { orderId, fulfillmentId } = await shop.confirmed([{ sku, quantity: 5 }]);
      await shop.dispatch(orderId, fulfillmentId);
      expect(await shop.level(sku)).toEqual({ onHand: 2, reserved: 2 });
      expect(await stores.stock.release(release(shop, orderId))).toEqual({ releasedLines: 1 });
      expect(await shop.level(sku)).toEqual({ onHand: 2, reserved: 0 });
    });

    test('refuses to count less than is reserved, and stock of what is not sold', async () => {
      const { shop, stores } = made();
      const sku = await shop.sku({ main: 5 });
      const { id } = await shop.accept([{ sku, quantity: 4 }]);
      await shop.reserve(id);
      const refused = await failure(stores.catalog.putStock(sku, 'main', 3), 'conflict');
      expect(refused.message).toContain('4 of SKU');
      expect((await stores.catalog.putStock(sku, 'main', 4)).onHand).toBe(4);
      await failure(stores.catalog.putStock('unknown', 'main', 3), 'not_found');
      expect(await stores.catalog.findStock('unknown')).toBeUndefined();
    });

    test('shows a SKU that never was in stock as none on hand', async () => {
      const { shop, stores } = made();
      const sku = await shop.sku({});
      expect(await stores.catalog.findStock(sku)).toEqual({ sku, onHand: 0, reserved: 0, locations: [] });
    });
  });
}
