import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { address, failure, type Shop, type Stores, times } from './shop.ts';

export function requestsConformance(made: () => { stores: Stores; shop: Shop }): void {
  const received = async () => {
    const { shop } = made();
    return (await shop.accept([{ sku: await shop.sku(), quantity: 1 }])).id;
  };
  const cancel = (orderId: string, expectedVersion?: number) =>
    made().stores.requests.cancel(orderId, { reason: 'too slow', expectedVersion });

  describe('requests', () => {
    test('commits a wish to cancel once, however often it is asked at a time', async () => {
      const { shop } = made();
      const id = await received();
      const answers = await Promise.all(times(10, () => cancel(id)));
      expect(new Set(answers.map(({ cancelRequestedAt }) => cancelRequestedAt)).size).toBe(1);
      expect(answers[0]?.cancelRequestedAt).not.toBeNull();
      expect(await shop.types(id)).toEqual(['created', 'cancellation_requested']);
      expect(await shop.view(id)).toMatchObject({ status: 'received', version: 2 });
    });

    test('refuses to cancel by a version that is not the present one', async () => {
      const { shop } = made();
      const id = await received();
      const refused = await failure(cancel(id, 7), 'version_mismatch');
      expect(refused.message).toContain('version 1');
      expect((await shop.view(id)).cancelRequestedAt).toBeNull();
      expect((await cancel(id, 1)).version).toBe(2);
    });

    test('refuses to cancel what has left the house, is at its end, or does not exist', async () => {
      const { shop, stores } = made();
      const { orderId, fulfillmentId } = await shop.confirmed([{ sku: await shop.sku(), quantity: 1 }]);
      await shop.dispatch(orderId, fulfillmentId);
      const left = await failure(cancel(orderId), 'not_cancellable');
      expect(left.message).toContain(fulfillmentId);
      const id = await received();
      await stores.orders.finish({ ...shop.step(id, 'finish'), status: 'rejected', reason: 'x' });
      expect((await failure(cancel(id), 'not_cancellable')).message).toContain('rejected');
      await failure(cancel(randomUUID()), 'not_found');
    });

    const decision = { attentionId: 'a1', action: 'retry', actor: 'ada', reason: 'fixed' } as const;
    const parked = async () => {
      const { shop, stores } = made();
      const id = await received();
      const attention = { attentionId: 'a1', step: 'reserve', reason: 'x', allowed: ['retry', 'cancel'] } as const;
      await stores.orders.openAttention({ ...shop.step(id, 'open_attention'), ...attention });
      return id;
    };

    test('records a decision on what is open and allowed', async () => {
      const { stores } = made();
      const id = await parked();
      const recorded = await stores.requests.recordDecision(id, decision);
      expect(recorded).toEqual({ decisionId: expect.any(String), step: 'reserve' });
      await stores.requests.settleDecision(recorded.decisionId, 'accepted', null);
    });

    test.each([
      ['book', 'paymentToken', { paymentToken: 'tok_new' }],
      ['authorize', 'shippingAddress', { shippingAddress: address }],
      ['book', 'paymentToken', { paymentToken: 'tok_new', shippingAddress: address }],
    ] as const)('refuses to correct for step %s what it does not read: %s', async (stuck, field, correction) => {
      const { shop, stores } = made();
      const id = await received();
      const attention = { attentionId: 'a1', step: stuck, reason: 'x', allowed: ['retry_corrected'] } as const;
      await stores.orders.openAttention({ ...shop.step(id, 'open_attention'), ...attention });
      const corrected = { ...decision, action: 'retry_corrected', correction } as const;
      const refused = await failure(stores.requests.recordDecision(id, corrected), 'invalid_input');
      expect(refused).toMatchObject({ errors: [{ pointer: `/correction/${field}` }] });
      expect(refused.message).toContain(`'${stuck}'`);
    });

    test('refuses a decision on what is not open (any more)', async () => {
      const { shop, stores } = made();
      const id = await parked();
      const other = { ...decision, attentionId: 'a2' };
      expect((await failure(stores.requests.recordDecision(id, other), 'attention_stale')).message).toContain("'a2'");
      const how = { by: 'recovery' } as const;
      await stores.orders.closeAttention({ ...shop.step(id, 'close_attention'), attentionId: 'a1', how });
      await failure(stores.requests.recordDecision(id, decision), 'attention_stale');
    });

    test('refuses a decision that the step does not allow, and names those that it does', async () => {
      const { stores } = made();
      const id = await parked();
      const refused = await failure(
        stores.requests.recordDecision(id, { ...decision, action: 'skip' }),
        'decision_not_allowed',
      );
      expect(refused.message).toContain('retry, cancel');
    });
  });
}
