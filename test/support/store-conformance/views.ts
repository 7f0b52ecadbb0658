import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { failure, type Shop, type Stores, times } from './shop.ts';

export function viewsConformance(made: () => { stores: Stores; shop: Shop }): void {
  describe('views', () => {
    const never = new AbortController().signal;

    test('pages through all orders of a customer, newest first, while others come in', async () => {
      const { shop, stores } = made();
      const sku = await shop.sku();
      const customerId = `pages-${randomUUID()}`;
      const orders = await Promise.all(times(25, () => shop.accept([{ sku, quantity: 1 }], { customerId })));
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        // One page after the other: each needs the cursor of the page before.
        const page = await stores.views.list({ customerId, limit: 10, cursor });
        seen.push(...page.data.map(({ id }) => id));
        cursor = page.nextCursor ?? undefined;
        await shop.accept([{ sku, quantity: 1 }], { customerId });
      } while (cursor !== undefined);
      const newestFirst = orders
        .toSorted((a, b) => (a.createdAt === b.createdAt ? (a.id < b.id ? 1 : -1) : a.createdAt < b.createdAt ? 1 : -1))
        .map(({ id }) => id);
      expect(seen).toEqual(newestFirst);
    });

    test('filters by status and by whether a person is needed', async () => {
      const { shop, stores } = made();
      const sku = await shop.sku();
      const customerId = `filter-${randomUUID()}`;
      const [plain, parked, done] = await Promise.all(
        times(3, () => shop.accept([{ sku, quantity: 1 }], { customerId })),
      );
      if (!plain || !parked || !done) throw new Error('three were made');
      const attention = { attentionId: 'a1', step: 'reserve', reason: 'x', allowed: ['retry'] } as const;
      await stores.orders.openAttention({ ...shop.step(parked.id, 'open_attention'), ...attention });
      await stores.orders.finish({ ...shop.step(done.id, 'finish'), status: 'rejected', reason: 'declined' });
      const ids = async (filter: { status?: 'rejected' | 'received'; attention?: boolean }) =>
        (await stores.views.list({ customerId, limit: 10, ...filter })).data.map(({ id }) => id).toSorted();
      expect(await ids({ status: 'rejected' })).toEqual([done.id]);
      expect(await ids({ attention: true })).toEqual([parked.id]);
      expect(await ids({ attention: false })).toEqual([plain.id, done.id].toSorted());
      expect(await ids({ status: 'received', attention: false })).toEqual([plain.id]);
      const { data } = await stores.views.list({ customerId, status: 'rejected', limit: 1 });
      const { attentions, items, payment, fulfillments, timeline, ...summary } = await shop.view(done.id);
      expect(attentions).toEqual([]);
      expect([items.length, payment.status, fulfillments.length, timeline.length]).toEqual([1, 'none', 0, 2]);
      expect(data).toEqual([summary]);
    });

    test.each([
      ['no base64', '%%%'],
      ['no JSON', Buffer.from('hello').toString('base64url')],
      ['another shape', Buffer.from('["2026-01-01T00:00:00.000Z"]').toString('base64url')],
      ['no time', Buffer.from('["yesterday","x"]').toString('base64url')],
      ['a time of another form', Buffer.from('["2026-01-01","x"]').toString('base64url')],
      ['a NUL', Buffer.from(String.raw`["2026-01-01T00:00:00.000Z","\u0000"]`).toString('base64url')],
      ['nothing', ''],
    ])('refuses a cursor that is none of ours: %s', async (_, cursor) => {
      const refused = await failure(made().stores.views.list({ limit: 1, cursor }), 'invalid_input');
      expect(refused).toMatchObject({ errors: [{ pointer: '/cursor' }] });
    });

    test('waits until the order is confirmed', async () => {
      const { shop, stores } = made();
      const { id } = await shop.accept([{ sku: await shop.sku(), quantity: 1 }]);
      const waits = times(20, () => stores.views.waitForConfirmation(id, 20_000, never));
      await stores.orders.confirm(shop.step(id, 'confirm'));
      const answers = await Promise.all(waits);
      expect(answers.map((order) => order?.status)).toEqual(times(20, () => 'confirmed'));
    });

    test('waits no longer than until the order is at its end, confirmed or not', async () => {
      const { shop, stores } = made();
      const { id } = await shop.accept([{ sku: await shop.sku(), quantity: 1 }]);
      const wait = stores.views.waitForConfirmation(id, 20_000, never);
      await stores.orders.finish({ ...shop.step(id, 'finish'), status: 'rejected', reason: 'declined' });
      expect((await wait)?.status).toBe('rejected');
      expect((await stores.views.waitForConfirmation(id, 20_000, never))?.status).toBe('rejected');
    });

    test('gives the order as it is when the time is over or the asker has gone', async () => {
      const { shop, stores } = made();
      const { id } = await shop.accept([{ sku: await shop.sku(), quantity: 1 }]);
      expect((await stores.views.waitForConfirmation(id, 20, never))?.status).toBe('received');
      const gone = new AbortController();
      const wait = stores.views.waitForConfirmation(id, 20_000, gone.signal);
      gone.abort();
      expect((await wait)?.status).toBe('received');
      expect((await stores.views.waitForConfirmation(id, 20_000, AbortSignal.abort()))?.status).toBe('received');
    });

    test('finds no order that was never made', async () => {
      const { views } = made().stores;
      expect(await views.find(randomUUID())).toBeUndefined();
      expect(await views.find('no uuid at all')).toBeUndefined();
      expect(await views.waitForConfirmation('no uuid at all', 20_000, never)).toBeUndefined();
    });
  });
}
