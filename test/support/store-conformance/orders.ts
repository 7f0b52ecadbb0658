import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Attention } from '../../../src/domain/step-ports.ts';
import { failure, type Shop, type Stores, times } from './shop.ts';

const stuck = (attentionId: string): Attention => ({
  attentionId,
  step: 'book',
  reason: 'refused',
  allowed: ['retry', 'retry_corrected'],
});

const illegal = (promise: Promise<unknown>) => failure(promise, 'illegal_transition');

export function ordersConformance(made: () => { stores: Stores; shop: Shop }): void {
  describe('orders', () => {
    const now = new Date().toISOString();
    test('changes nothing when a step comes again under its key', async () => {
      const { shop, stores } = made();
      const { orders, effects, stock, screening } = stores;
      const sku = await shop.sku({ main: 1, north: 1 });
      const { id } = await shop.accept([{ sku, quantity: 2 }]);
      const twice = async <T>(work: () => Promise<T>): Promise<T> => {
        const result = await work();
        const before = [await shop.view(id), await shop.level(sku)];
        expect(await work()).toEqual(result);
        expect([await shop.view(id), await shop.level(sku)]).toEqual(before);
        return result;
      };
      const step = (name: Parameters<Shop['step']>[1], fulfillmentId?: string) => shop.step(id, name, fulfillmentId);
      await twice(() => screening.screen(step('screen')));
      const reserved = await twice(() => stock.reserve(step('reserve')));
      if (reserved.outcome !== 'reserved') throw new Error(reserved.outcome);
      const [first, second] = reserved.fulfillments.map((fulfillment) => fulfillment.id);
      if (first === undefined || second === undefined) throw new Error('not split');
      await shop.authorize(id);
      await twice(() =>
        effects.settle(step('authorize'), 'authorize', { outcome: 'authorized', authorizationId: `auth-${id}` }),
      );
      await twice(() => orders.confirm(step('confirm')));
      await twice(() => orders.openAttention({ ...step('open_attention'), ...stuck('a1') }));
      await twice(() =>
        orders.closeAttention({ ...step('close_attention'), attentionId: 'a1', how: { by: 'recovery' } }),
      );
      await shop.book(id, first);
      await twice(() => orders.dispatch({ ...step('dispatch', first), fulfillmentId: first, at: now }));
      await twice(() => orders.deliver({ ...step('deliver', first), fulfillmentId: first, at: now }));
      await twice(() => orders.cancelFulfillment({ ...step('cancel_shipment', second), fulfillmentId: second }));
      const undo = { ...step('release', second), undoes: step('reserve').key, fulfillmentId: second };
      await twice(() => stock.release(undo));
      await twice(() => orders.finish({ ...step('finish'), status: 'partially_completed', reason: null }));
      expect(await shop.types(id)).toEqual([
        'created',
        'stock_reserved',
        'payment_authorized',
        'confirmed',
        'attention_opened',
        'attention_closed',
        'shipment_booked',
        'dispatched',
        'delivered',
        'stock_released',
        'partially_completed',
      ]);
    });

    test('confirms once when the same key comes ten times at once', async () => {
      const { shop, stores } = made();
      const { id } = await shop.accept([{ sku: await shop.sku(), quantity: 1 }]);
      await Promise.all(times(10, () => stores.orders.confirm(shop.step(id, 'confirm'))));
      expect(await shop.types(id)).toEqual(['created', 'confirmed']);
      expect(await shop.view(id)).toMatchObject({ status: 'confirmed', version: 2 });
    });

    test('forbids what the tables of transitions do not list', async () => {
      const { shop, stores } = made();
      const { orders } = stores;
      const sku = await shop.sku({ main: 2 });
      const { orderId, fulfillmentId } = await shop.confirmed([{ sku, quantity: 1 }]);
      const about = (name: Parameters<Shop['step']>[1], generation = 1) => ({
        ...shop.step(orderId, name, fulfillmentId, generation),
        fulfillmentId,
      });
      await illegal(orders.confirm(shop.step(orderId, 'confirm', undefined, 2)));
      await illegal(orders.deliver({ ...about('deliver'), at: now }));
      await illegal(orders.failDelivery({ ...about('fail_delivery'), reason: 'lost' }));
      await illegal(orders.finish({ ...shop.step(orderId, 'finish'), status: 'completed', reason: null }));
      await shop.dispatch(orderId, fulfillmentId);
      await illegal(orders.dispatch({ ...about('dispatch', 2), at: now }));
      await illegal(orders.cancelFulfillment(about('cancel_shipment')));
      await orders.failDelivery({ ...about('fail_delivery'), reason: 'lost' });
      await orders.finish({ ...shop.step(orderId, 'finish'), status: 'cancelled', reason: 'lost' });
      await illegal(
        orders.finish({ ...shop.step(orderId, 'finish', undefined, 2), status: 'completed', reason: null }),
      );
      expect(await shop.view(orderId)).toMatchObject({ status: 'cancelled', reason: 'lost' });
      expect(await shop.level(sku)).toEqual({ onHand: 1, reserved: 0 });
    });

    test('leaves nothing behind of a step that was forbidden', async () => {
      const { shop, stores } = made();
      const sku = await shop.sku({ main: 2 });
      const { id } = await shop.accept([{ sku, quantity: 1 }]);
      const [fulfillment] = await shop.reserve(id);
      const before = await shop.view(id);
      // The goods cannot leave before the order is confirmed.
      await failure(shop.dispatch(id, fulfillment?.id ?? ''), 'illegal_transition');
      expect(await shop.view(id)).toEqual(before);
      expect(await shop.level(sku)).toEqual({ onHand: 2, reserved: 1 });
      await stores.orders.confirm(shop.step(id, 'confirm'));
      await shop.dispatch(id, fulfillment?.id ?? '');
      expect(await shop.level(sku)).toEqual({ onHand: 1, reserved: 0 });
    });

    test('takes "dispatched" before the booking\'s answer, and notes the answer after', async () => {
      const { shop, stores } = made();
      const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
      const book = shop.step(orderId, 'book', fulfillmentId);
      await stores.effects.openBook({ ...book, fulfillmentId });
      await shop.dispatch(orderId, fulfillmentId, now);
      await stores.effects.settle(book, 'book', { outcome: 'booked', shipmentId: 's1', trackingNumber: 't1' });
      const { status, fulfillments } = await shop.view(orderId);
      expect(status).toBe('fulfilling');
      expect(fulfillments).toMatchObject([
        { status: 'dispatched', dispatchedAt: now, shipmentId: 's1', trackingNumber: 't1' },
      ]);
    });

    test('cancels at the end what never left, and closes what still waited for a person', async () => {
      const { shop, stores } = made();
      const { orderId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
      await stores.orders.openAttention({ ...shop.step(orderId, 'open_attention'), ...stuck('a1') });
      expect((await shop.view(orderId)).attention).toMatchObject({ id: 'a1', allowed: ['retry', 'retry_corrected'] });
      await stores.orders.finish({ ...shop.step(orderId, 'finish'), status: 'cancelled', reason: 'asked' });
      const order = await shop.view(orderId);
      expect(order).toMatchObject({ attention: null, fulfillments: [{ status: 'cancelled' }], reason: 'asked' });
      expect(order.timeline.slice(-2)).toMatchObject([
        { type: 'evenkeel.order.attention_closed.v1', detail: { attentionId: 'a1', by: 'recovery' } },
        { type: 'evenkeel.order.cancelled.v1', detail: { reason: 'asked' } },
      ]);
      expect(order.finishedAt).toBe(order.timeline.at(-1)?.at);
    });

    test('shows the oldest of several attentions', async () => {
      const { shop, stores } = made();
      const { id } = await shop.accept([{ sku: await shop.sku(), quantity: 1 }]);
      const open = (attentionId: string) =>
        stores.orders.openAttention({ ...shop.step(id, 'open_attention', attentionId), ...stuck(attentionId) });
      await open('a1');
      await open('a2');
      expect((await shop.view(id)).attention?.id).toBe('a1');
      const how = { by: 'recovery' } as const;
      await stores.orders.closeAttention({ ...shop.step(id, 'close_attention', 'a1'), attentionId: 'a1', how });
      expect((await shop.view(id)).attention?.id).toBe('a2');
      const { version } = await shop.view(id);
      const again = { ...shop.step(id, 'close_attention', 'a1', 2), attentionId: 'a1', how };
      await stores.orders.closeAttention(again);
      expect((await shop.view(id)).version).toBe(version);
      const unknown = { ...shop.step(id, 'close_attention', 'a3'), attentionId: 'a3', how };
      await failure(stores.orders.closeAttention(unknown), 'not_found');
    });

    test('applies a correction to attempts under new keys only', async () => {
      const { shop, stores } = made();
      const { id } = await shop.accept([{ sku: await shop.sku(), quantity: 1 }], { payment: { token: 'tok_old' } });
      await stores.effects.openAuthorize(shop.step(id, 'authorize'));
      const attention1 = { ...stuck('a1'), step: 'authorize' } as const;
      await stores.orders.openAttention({ ...shop.step(id, 'open_attention'), ...attention1 });
      const { decisionId } = await stores.requests.recordDecision(id, {
        attentionId: 'a1',
        action: 'retry_corrected',
        actor: 'ada',
        reason: 'new card',
        correction: { paymentToken: 'tok_new' },
      });
      await stores.orders.correct({
        ...shop.step(id, 'correct', decisionId),
        decisionId,
        slot: 'authorize',
        generation: 2,
      });
      const again = await stores.effects.openAuthorize(shop.step(id, 'authorize'));
      expect(again).toMatchObject({ first: false, input: { token: 'tok_old' } });
      const next = await stores.effects.openAuthorize(shop.step(id, 'authorize', undefined, 2));
      expect(next).toMatchObject({ first: true, input: { token: 'tok_new' } });
      // A replacement of the workflow begins with the generation that the step has come to.
      await stores.outstanding.flag(id, 'workflow_closed');
      const { attention } = await shop.view(id);
      const restart = { attentionId: attention?.id ?? '', action: 'retry', actor: 'ada', reason: 'lost' } as const;
      const { decisionId: restarts } = await stores.requests.recordDecision(id, restart);
      const replacement = await stores.outstanding.restartable(id, restarts);
      expect(replacement).toMatchObject({ incarnation: 1, confirmed: false, generations: { authorize: 2 } });
      // The event tells what was corrected, and not to what.
      expect(JSON.stringify((await shop.view(id)).timeline)).not.toContain('tok_new');
      const unknown = { ...shop.step(id, 'correct', 'x'), decisionId: randomUUID(), slot: 'authorize', generation: 2 };
      await failure(stores.orders.correct(unknown), 'not_found');
    });

    test('withdraws a cancellation, visibly, so that it can be asked for again', async () => {
      const { shop, stores } = made();
      const { id } = await shop.accept([{ sku: await shop.sku(), quantity: 1 }]);
      const withdraw = (generation: number) =>
        stores.orders.withdrawCancellation({
          ...shop.step(id, 'withdraw_cancellation', undefined, generation),
          reason: 'already_dispatched',
        });
      await withdraw(1);
      expect((await shop.view(id)).version).toBe(1);
      await stores.requests.cancel(id, { reason: 'too slow' });
      await withdraw(2);
      expect((await shop.view(id)).cancelRequestedAt).toBeNull();
      await stores.requests.cancel(id, { reason: 'still too slow' });
      expect(await shop.types(id)).toEqual([
        'created',
        'cancellation_requested',
        'cancellation_withdrawn',
        'cancellation_requested',
      ]);
    });

    test('knows no order and no fulfillment that it never made', async () => {
      const { shop, stores } = made();
      const { orderId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
      const unknown = await failure(stores.orders.confirm(shop.step('no-such-order', 'confirm')), 'not_found');
      expect(unknown.message).toContain('no-such-order');
      await failure(shop.dispatch(orderId, 'no-such-fulfillment'), 'not_found');
      const other = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
      await failure(shop.dispatch(orderId, other.fulfillmentId), 'not_found');
    });
  });

  describe('screening', () => {
    test('sends an order above the limit to review, with the reason', async () => {
      const { shop, stores } = made();
      const sku = await shop.sku({}, 500_001);
      const { id } = await shop.accept([{ sku, quantity: 1 }]);
      expect(await stores.screening.screen(shop.step(id, 'screen'))).toEqual({
        verdict: 'review',
        reason: 'total_above_limit',
      });
      const { status, timeline } = await shop.view(id);
      expect(status).toBe('in_review');
      expect(timeline.at(-1)).toMatchObject({ detail: { reason: 'total_above_limit' } });
    });

    test("reviews a customer's order above the usual number within an hour, and no earlier one", async () => {
      const { shop, stores } = made();
      const sku = await shop.sku();
      const customerId = `busy-${randomUUID()}`;
      const ids: string[] = [];
      for (const _ of times(6, () => null)) {
        // One after the other: which one is too many must not be a matter of chance.
        ids.push((await shop.accept([{ sku, quantity: 1 }], { customerId })).id);
      }
      const verdicts = await Promise.all(ids.map((id) => stores.screening.screen(shop.step(id, 'screen'))));
      expect(verdicts.map(({ verdict }) => verdict)).toEqual([...times(5, () => 'approve'), 'review']);
    });
  });
}
