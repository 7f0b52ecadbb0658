import { randomUUID } from 'node:crypto';
import { describe, expect, test, vi } from 'vitest';
import { failure, type Shop, type Stores, times } from './shop.ts';

export function outstandingConformance(made: () => { stores: Stores; shop: Shop }): void {
  const received = async () => {
    const { shop } = made();
    return (await shop.accept([{ sku: await shop.sku(), quantity: 1 }])).id;
  };

  describe('outstanding', () => {
    const all = 10_000;
    const unstarted = async (id: string, olderThanMs = 0) =>
      (await made().stores.outstanding.unstarted(olderThanMs, all)).filter(({ orderId }) => orderId === id);
    const cancellations = async (id: string) =>
      (await made().stores.outstanding.undeliveredCancellations(0, all)).filter((orderId) => orderId === id);
    const messages = async (id: string) =>
      (await made().stores.outstanding.undeliveredMessages(0, all)).filter(({ orderId }) => orderId === id);
    const idle = async (id: string, idleMs = 0) =>
      (await made().stores.outstanding.takeIdle(idleMs, all)).filter(({ orderId }) => orderId === id);

    test('lists an order until its workflow is started', async () => {
      const { stores } = made();
      const id = await received();
      expect(await unstarted(id, 60_000)).toEqual([]);
      expect(await unstarted(id)).toEqual([{ orderId: id, totalMinor: 250, currency: 'GBP', incarnation: 0 }]);
      await stores.outstanding.markStarted(id);
      expect(await unstarted(id)).toEqual([]);
    });

    test('does not let an order that cannot be started hold up the others', async () => {
      const { outstanding } = made().stores;
      await received();
      await received();
      const tried = await outstanding.unstarted(0, 1);
      const next = await outstanding.unstarted(0, 1);
      expect(tried).toHaveLength(1);
      expect(next).toHaveLength(1);
      expect(next[0]?.orderId).not.toBe(tried[0]?.orderId);
    });

    test('lists a cancellation once the order is started, until it is delivered', async () => {
      const { stores } = made();
      const id = await received();
      await stores.requests.cancel(id, { reason: null });
      expect(await cancellations(id)).toEqual([]);
      await stores.outstanding.markStarted(id);
      expect(await cancellations(id)).toEqual([id]);
      await stores.outstanding.markCancellationDelivered(id);
      expect(await cancellations(id)).toEqual([]);
    });

    test('keeps a message once, and lists it until it is delivered', async () => {
      const { shop, stores } = made();
      const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
      await stores.outstanding.markStarted(orderId);
      const message = {
        messageId: randomUUID(),
        orderId,
        fulfillmentId,
        shipmentId: 's1',
        kind: 'dispatched',
        at: '2026-01-02T03:04:05.678Z',
      } as const;
      const kept = await Promise.all(times(10, () => stores.inbox.keep(message)));
      expect(kept.toSorted()).toEqual([...times(9, () => 'duplicate'), 'kept']);
      expect(await messages(orderId)).toEqual([message]);
      await stores.outstanding.markMessageDelivered(message.messageId, 'accepted');
      expect(await messages(orderId)).toEqual([]);
      expect(await stores.inbox.keep(message)).toBe('duplicate');
    });

    test('takes no news of another shipment for those of the present one', async () => {
      const { shop, stores } = made();
      const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
      await stores.outstanding.markStarted(orderId);
      const news = (shipmentId: string) => {
        const [messageId, at] = [randomUUID(), new Date().toISOString()];
        return { messageId, orderId, fulfillmentId, shipmentId, kind: 'dispatched', at } as const;
      };
      const shipmentId = await shop.book(orderId, fulfillmentId);
      const [other, present] = [news('s0'), news(shipmentId)];
      expect(await stores.inbox.keep(other)).toBe('other_shipment');
      expect(await stores.inbox.keep(present)).toBe('kept');
      expect(await messages(orderId)).toEqual([present]);
      // Nor for a new workflow.
      await stores.outstanding.flag(orderId, 'workflow_closed');
      await stores.outstanding.restartable(orderId, 'd1');
      await stores.outstanding.markStarted(orderId);
      expect(await messages(orderId)).toEqual([present]);
    });

    test('keeps a message due whose workflow is lost, until the order is at its end', async () => {
      const { shop, stores } = made();
      const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
      await stores.outstanding.markStarted(orderId);
      const messageId = randomUUID();
      const at = new Date().toISOString();
      await stores.inbox.keep({ messageId, orderId, fulfillmentId, shipmentId: 's1', kind: 'dispatched', at });
      await stores.outstanding.markMessageDelivered(messageId, 'closed');
      expect(await messages(orderId)).toMatchObject([{ messageId }]);
      await stores.orders.finish({ ...shop.step(orderId, 'finish'), status: 'cancelled', reason: 'x' });
      await stores.outstanding.markMessageDelivered(messageId, 'closed');
      expect(await messages(orderId)).toEqual([]);
    });

    test('keeps no message about what is not ours', async () => {
      const { shop, stores } = made();
      const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
      const [messageId, at] = [randomUUID(), new Date().toISOString()];
      const message = { messageId, shipmentId: 's1', kind: 'delivered', at } as const;
      const unknown = await failure(stores.inbox.keep({ ...message, orderId, fulfillmentId: 'no-such' }), 'not_found');
      expect(unknown.message).toContain('no-such');
      await failure(stores.inbox.keep({ ...message, orderId: await received(), fulfillmentId }), 'not_found');
    });

    test("knows whether it is the carrier's turn", async () => {
      const { shop, stores } = made();
      const { effects, orders, inbox } = stores;
      const at = new Date().toISOString();
      const carriersTurn = async (orderId: string) => (await idle(orderId))[0]?.waitsForCarrier;
      const news = (orderId: string, fulfillmentId: string, kind: 'dispatched' | 'delivered') => {
        const shipmentId = `shipment-${fulfillmentId}`;
        return inbox.keep({ messageId: randomUUID(), orderId, fulfillmentId, shipmentId, kind, at });
      };
      const dispatched = async () => {
        const order = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
        await shop.book(order.orderId, order.fulfillmentId);
        await shop.dispatch(order.orderId, order.fulfillmentId, at);
        return order;
      };

      const wished = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
      expect(await carriersTurn(wished.orderId)).toBe(false);
      await shop.book(wished.orderId, wished.fulfillmentId);
      expect(await carriersTurn(wished.orderId)).toBe(true);
      await stores.requests.cancel(wished.orderId, { reason: null });
      expect(await carriersTurn(wished.orderId)).toBe(false);

      const told = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
      await shop.book(told.orderId, told.fulfillmentId);
      await inbox.keep({ ...told, messageId: randomUUID(), shipmentId: 'another', kind: 'dispatched', at });
      expect(await carriersTurn(told.orderId)).toBe(true);
      await news(told.orderId, told.fulfillmentId, 'dispatched');
      expect(await carriersTurn(told.orderId)).toBe(false);

      const paid = await dispatched();
      expect(await carriersTurn(paid.orderId)).toBe(false);
      const capture = shop.step(paid.orderId, 'capture', paid.fulfillmentId);
      const { authorizationId, fulfillmentId, orderId } = paid;
      const money = { orderId, amountMinor: 250, currency: 'GBP', authorizationId, fulfillmentId };
      await effects.open(capture, 'capture', money);
      expect(await carriersTurn(orderId)).toBe(false);
      await effects.settle(capture, 'capture', { outcome: 'captured', captureId: 'c1' });
      expect(await carriersTurn(orderId)).toBe(true);
      await news(orderId, fulfillmentId, 'delivered');
      expect(await carriersTurn(orderId)).toBe(false);

      const skipped = await dispatched();
      const attention = { attentionId: 'a1', step: 'capture', reason: 'x', allowed: ['skip'] } as const;
      const about = { ...attention, fulfillmentId: skipped.fulfillmentId };
      await orders.openAttention({ ...shop.step(skipped.orderId, 'open_attention'), ...about });
      const how = { by: 'decision', decisionId: 'd1', action: 'skip' } as const;
      await orders.closeAttention({ ...shop.step(skipped.orderId, 'close_attention'), attentionId: 'a1', how });
      expect(await carriersTurn(skipped.orderId)).toBe(true);
    });

    test('hands an idle order to one reconciler, and says whom it waits for', async () => {
      const { shop, stores } = made();
      const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
      expect(await idle(orderId, 60_000)).toEqual([]);
      expect(await idle(orderId)).toMatchObject([
        { status: 'confirmed', started: false, waitsForPerson: false, waitsForCarrier: false, totalMinor: 250 },
      ]);
      await shop.book(orderId, fulfillmentId);
      await stores.outstanding.markStarted(orderId);
      expect(await idle(orderId)).toMatchObject([{ started: true, waitsForCarrier: true }]);
      await stores.outstanding.flag(orderId, 'gone');
      expect(await idle(orderId)).toMatchObject([{ waitsForPerson: true }]);
      const taken = await vi.waitFor(
        async () => {
          const rounds = await Promise.all(times(5, () => idle(orderId, 300)));
          expect(rounds.flat()).not.toEqual([]);
          return rounds.flat();
        },
        { timeout: 10_000, interval: 20 },
      );
      expect(taken).toHaveLength(1);
    });

    test('looks at every idle order in turn, also where there are more than one round takes', async () => {
      const { outstanding } = made().stores;
      await received();
      await received();
      const [first] = await outstanding.takeIdle(0, 1);
      const [next] = await outstanding.takeIdle(0, 1);
      expect(first).toBeDefined();
      expect(next).toBeDefined();
      expect(next?.orderId).not.toBe(first?.orderId);
    });

    test('does not look at orders at their end', async () => {
      const { shop, stores } = made();
      const id = await received();
      await stores.requests.cancel(id, { reason: null });
      await stores.orders.finish({ ...shop.step(id, 'finish'), status: 'cancelled', reason: 'x' });
      expect([await idle(id), await unstarted(id), await cancellations(id)]).toEqual([[], [], []]);
      expect(await stores.outstanding.flag(id, 'gone')).toBe(false);
    });

    test('flags an order whose workflow is lost once, ahead of what else waits', async () => {
      const { shop, stores } = made();
      const id = await received();
      const attention = { attentionId: 'a1', step: 'reserve', reason: 'x', allowed: ['retry'] } as const;
      await stores.orders.openAttention({ ...shop.step(id, 'open_attention'), ...attention });
      const flagged = await Promise.all(times(5, () => stores.outstanding.flag(id, 'workflow_missing')));
      expect(flagged.filter(Boolean)).toHaveLength(1);
      expect((await shop.view(id)).attention).toMatchObject({
        id: 'workflow-0',
        step: 'workflow',
        reason: 'workflow_missing',
        allowed: ['retry'],
      });
    });

    test('takes a flag back, and flags anew, as often as need be', async () => {
      const { outstanding } = made().stores;
      const { shop } = made();
      const id = await received();
      const how = { by: 'recovery' } as const;
      expect(await outstanding.unflag(id, how)).toBe(false);
      for (const flagId of ['workflow-0', 'workflow-0.2', 'workflow-0.3']) {
        expect(await outstanding.flag(id, 'workflow_closed')).toBe(true);
        expect((await shop.view(id)).attention?.id).toBe(flagId);
        expect(await outstanding.unflag(id, how)).toBe(true);
        expect((await shop.view(id)).attention).toBeNull();
      }
      expect(await outstanding.unflag(id, how)).toBe(false);
      expect((await shop.types(id)).slice(-2)).toEqual(['attention_opened', 'attention_closed']);
    });

    test('makes all that a lost workflow was told due again for a new one', async () => {
      const { shop, stores } = made();
      const { outstanding, requests } = stores;
      const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
      await outstanding.markStarted(orderId);
      await requests.cancel(orderId, { reason: null });
      await outstanding.markCancellationDelivered(orderId);
      const messageId = randomUUID();
      const message = { messageId, orderId, fulfillmentId, shipmentId: 's1', kind: 'dispatched' } as const;
      await stores.inbox.keep({ ...message, at: new Date().toISOString() });
      await outstanding.markMessageDelivered(message.messageId, 'accepted');
      await failure(outstanding.restartable(orderId, 'd0'), 'attention_stale');
      await outstanding.flag(orderId, 'workflow_closed');
      const decision = { attentionId: 'workflow-0', action: 'retry', actor: 'ada', reason: 'again' } as const;
      const { decisionId } = await requests.recordDecision(orderId, decision);
      const restarted = await outstanding.restartable(orderId, decisionId);
      expect(restarted).toMatchObject({ orderId, incarnation: 1 });
      expect(await outstanding.restartable(orderId, decisionId)).toEqual(restarted);
      await failure(outstanding.restartable(orderId, 'another'), 'attention_stale');
      expect((await shop.view(orderId)).attention).toBeNull();
      expect(await unstarted(orderId)).toEqual([restarted]);
      expect([await messages(orderId), await cancellations(orderId)]).toEqual([[], []]);
      await outstanding.markStarted(orderId);
      expect(await messages(orderId)).toMatchObject([message]);
      expect(await cancellations(orderId)).toEqual([orderId]);
      await outstanding.flag(orderId, 'workflow_closed');
      expect((await shop.view(orderId)).attention?.id).toBe('workflow-1');
    });
  });
}
