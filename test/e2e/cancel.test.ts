import { expect, test } from 'vitest';
import { audit, stockOf } from '../support/audit.ts';
import { useStack } from '../support/stack.ts';
import { pooled } from '../support/wait.ts';

const stack = useStack(() => ({ dispatchAfterMs: 400, deliverAfterMs: 100 }));

const cancel = (id: string) => stack().request('POST', `/v1/orders/${id}/cancel`, { reason: 'changed my mind' });

test('forty orders cancelled at random moments each end whole: sent and paid, or called off and given back', async () => {
  const before = await stockOf(stack(), 'LANTERN');
  const asked = await pooled(
    Array.from({ length: 40 }, (_, index) => index),
    10,
    async (index) => {
      const [id = ''] = await stack().submit(1);
      // Over the whole of an order's life, from before its first step to after its dispatch.
      await new Promise((resolve) => setTimeout(resolve, (index % 20) * 60 * Math.random()));
      return { id, reply: await cancel(id) };
    },
  );
  const orders = await stack().ended(asked.map(({ id }) => id));
  expect(await audit(stack(), orders)).toEqual([]);
  const unkept = orders.filter(({ status, timeline }, index) => {
    const { reply } = asked[index] ?? {};
    if (status === 'cancelled') return reply?.status !== 202;
    // One that came too late is refused, or withdrawn for all to see.
    if (reply?.status === 409) return !reply.text.includes('not_cancellable');
    return !timeline.some(({ type }) => type === 'evenkeel.order.cancellation_withdrawn.v1');
  });
  expect(unkept).toEqual([]);
  const cancelled = orders.filter(({ status }) => status === 'cancelled');
  expect(cancelled.length).toBeGreaterThan(0);
  expect(await stockOf(stack(), 'LANTERN')).toEqual({
    onHand: before.onHand - 2 * (40 - cancelled.length),
    reserved: 0,
  });
});

test('after the dispatch a cancellation is refused, with the reason, and changes nothing', async () => {
  const [id = ''] = await stack().submit(1);
  await stack().when(
    id,
    'dispatched',
    ({ fulfillments }) => fulfillments[0]?.dispatchedAt !== undefined && fulfillments[0]?.dispatchedAt !== null,
  );
  const reply = await cancel(id);
  expect(reply.json).toMatchObject({
    status: 409,
    code: 'not_cancellable',
    detail: expect.stringContaining('dispatched'),
  });
  expect((await stack().ended([id]))[0]).toMatchObject({ status: 'completed', cancelRequestedAt: null });
});

test('a cancellation asked for twice is done once', async () => {
  await stack().sandbox.configure({ dispatchAfterMs: -1 });
  const [id = ''] = await stack().submit(1);
  await stack().when(id, 'booked', ({ fulfillments }) => fulfillments[0]?.status === 'booked');
  expect((await Promise.all([cancel(id), cancel(id)])).map(({ status }) => status)).toEqual([202, 202]);
  const orders = await stack().ended([id]);
  expect(orders).toMatchObject([{ status: 'cancelled', reason: 'cancel_requested' }]);
  expect(await audit(stack(), orders)).toEqual([]);
  expect((await stack().sandbox.ledger({ orderId: id })).map(({ kind }) => kind).toSorted()).toEqual([
    'authorization',
    'cancellation',
    'shipment',
    'void',
  ]);
});
