import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { DomainFailure } from '../../../src/domain/failures.ts';
import type { IntakeResult } from '../../../src/domain/order-ports.ts';
import { failure, type Shop, type Stores, times } from './shop.ts';

const idempotency = () => ({
  caller: 'default',
  key: randomUUID(),
  bodyHash: 'hash',
});
const idOf = (result: IntakeResult): string => (result.kind === 'replayed' ? result.orderId : result.order.id);

export function intakeConformance(made: () => { stores: Stores; shop: Shop }): void {
  describe('intake', () => {
    test('makes one order of fifty concurrent requests with one key', async () => {
      const { shop, stores } = made();
      const order = shop.newOrder([{ sku: await shop.sku(), quantity: 1 }]);
      const claim = idempotency();
      const answers = await Promise.all(
        times(50, async () => {
          try {
            return await stores.intake.accept(order, claim, undefined);
          } catch (error) {
            if (error instanceof DomainFailure && error.code === 'idempotency_in_progress') return undefined;
            throw error;
          }
        }),
      );
      const last = await stores.intake.accept(order, claim, undefined);
      expect(last.kind).toBe('replayed');
      expect(answers.filter((answer) => answer?.kind === 'created')).toHaveLength(1);
      const ids = new Set([...answers.flatMap((answer) => (answer ? [idOf(answer)] : [])), idOf(last)]);
      expect(ids.size).toBe(1);
      const { data } = await stores.views.list({ customerId: order.customerId, limit: 10 });
      expect(data.map(({ id }) => id)).toEqual([...ids]);
    });

    test('refuses a key that came with another body', async () => {
      const { shop, stores } = made();
      const order = shop.newOrder([{ sku: await shop.sku(), quantity: 1 }]);
      const claim = idempotency();
      await stores.intake.accept(order, claim, undefined);
      const another = { ...claim, bodyHash: 'another' };
      const refused = await failure(stores.intake.accept(order, another, undefined), 'idempotency_key_reused');
      expect(refused.message).toContain(claim.key);
    });

    test("keeps one caller's keys apart from another's", async () => {
      const { shop, stores } = made();
      const order = shop.newOrder([{ sku: await shop.sku(), quantity: 1 }]);
      const claim = idempotency();
      await stores.intake.accept(order, claim, undefined);
      const other = await stores.intake.accept(order, { ...claim, caller: 'somebody-else' }, undefined);
      expect(other.kind).toBe('created');
    });

    test('repeats the first answer byte for byte, whatever became of the order', async () => {
      const { shop, stores } = made();
      const order = shop.newOrder([{ sku: await shop.sku(), quantity: 1 }]);
      const claim = idempotency();
      const first = await stores.intake.accept(order, claim, undefined);
      if (first.kind !== 'created') throw new Error(first.kind);
      await stores.requests.cancel(first.order.id, { reason: null });
      const again = await stores.intake.accept(order, claim, undefined);
      expect(again).toEqual({ kind: 'replayed', orderId: first.order.id, answer: JSON.stringify(first.order) });
    });

    test('names every unknown SKU and every other currency, and claims nothing', async () => {
      const { shop, stores } = made();
      const sku = await shop.sku();
      const claim = idempotency();
      const bad = shop.newOrder([
        { sku, quantity: 1 },
        { sku: 'unknown-1', quantity: 1 },
        { sku: 'unknown-2', quantity: 1 },
      ]);
      const refused = await failure(stores.intake.accept(bad, claim, undefined), 'invalid_input');
      expect(refused).toMatchObject({ errors: [{ pointer: '/items/1/sku' }, { pointer: '/items/2/sku' }] });
      const euros = shop.newOrder([{ sku, quantity: 1 }], { currency: 'EUR' });
      const foreign = await failure(stores.intake.accept(euros, claim, undefined), 'invalid_input');
      expect(foreign).toMatchObject({ errors: [{ pointer: '/items/0/sku', detail: expect.stringContaining('EUR') }] });
      const good = await stores.intake.accept(shop.newOrder([{ sku, quantity: 1 }]), claim, undefined);
      expect(good.kind).toBe('created');
    });

    test('refuses amounts that cannot be counted exactly', async () => {
      const { shop, stores } = made();
      const sku = await shop.sku({}, Number.MAX_SAFE_INTEGER);
      const line = shop.newOrder([{ sku, quantity: 2 }]);
      const sum = shop.newOrder([
        { sku, quantity: 1 },
        { sku, quantity: 1 },
      ]);
      expect(await failure(stores.intake.accept(line, idempotency(), undefined), 'invalid_input')).toMatchObject({
        errors: [{ pointer: '/items/0/quantity' }],
      });
      expect(await failure(stores.intake.accept(sum, idempotency(), undefined), 'invalid_input')).toMatchObject({
        errors: [{ pointer: '/items' }],
      });
    });

    test('takes what is free beside what is not, and no order that costs nothing at all', async () => {
      const { shop, stores } = made();
      const [free, priced] = [await shop.sku({}, 0), await shop.sku({}, 250)];
      const gift = shop.newOrder([{ sku: free, quantity: 2 }]);
      const refused = await failure(stores.intake.accept(gift, idempotency(), undefined), 'invalid_input');
      expect(refused).toMatchObject({ errors: [{ pointer: '/items', detail: expect.stringContaining('0 GBP') }] });
      const both = [
        { sku: free, quantity: 2 },
        { sku: priced, quantity: 1 },
      ];
      expect(await shop.accept(both)).toMatchObject({ totalMinor: 250, items: [{ totalMinor: 0 }, {}] });
    });

    test('fixes prices and descriptions: a later change of the catalog changes no amount', async () => {
      const { shop, stores } = made();
      const sku = await shop.sku({ main: 5 }, 250);
      const { id, totalMinor } = await shop.accept([{ sku, quantity: 3 }]);
      await stores.catalog.put({ sku, description: 'another', priceMinor: 999, currency: 'GBP' });
      expect(totalMinor).toBe(750);
      expect(await shop.view(id)).toMatchObject({
        totalMinor: 750,
        items: [{ sku, description: 'a thing', quantity: 3, unitPriceMinor: 250, totalMinor: 750 }],
      });
      expect(await stores.effects.openAuthorize(shop.step(id, 'authorize'))).toMatchObject({
        input: { amountMinor: 750 },
      });
    });

    test('starts an order at its beginning', async () => {
      const { shop } = made();
      const order = await shop.accept([{ sku: await shop.sku(), quantity: 2 }]);
      expect(order).toMatchObject({
        status: 'received',
        version: 1,
        attention: null,
        payment: { status: 'none', authorizedMinor: 0 },
        fulfillments: [],
        confirmedAt: null,
        finishedAt: null,
        timeline: [{ at: order.createdAt, type: 'evenkeel.order.created.v1', detail: { totalMinor: 500 } }],
      });
      expect(await shop.view(order.id)).toEqual(order);
    });
  });
}
