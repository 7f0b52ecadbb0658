import { describe, expect, test } from 'vitest';
import { useShop } from '../support/shop.ts';
import { DAY_MS, type Story } from '../support/workflow.ts';

const shop = useShop();

async function overdueDispatch(): Promise<{ story: Story; attentionId: string }> {
  const story = await shop().begin();
  await story.booked();
  await story.pass(29 * DAY_MS);
  expect(story.world.store.openAttentions()).toEqual([]);
  await story.pass(2 * DAY_MS);
  const { attentionId, reason } = await story.parked('await_dispatch');
  expect(reason).toBe('dispatch_overdue');
  return { story, attentionId };
}

describe('a shipment that is not dispatched within thirty days', () => {
  test('is waited for thirty days more if a person says so', async () => {
    const { story, attentionId } = await overdueDispatch();
    await story.decide(attentionId, 'retry');
    await story.until('attention closed');
    await story.pass(29 * DAY_MS);
    expect(story.world.store.openAttentions()).toEqual([]);
    await story.pass(2 * DAY_MS);
    await story.parked('await_dispatch');
    await story.carry();
    expect((await story.end()).status).toBe('completed');
  });

  test('is given up, and all given back, if a person says so', async () => {
    const { story, attentionId } = await overdueDispatch();
    await story.decide(attentionId, 'cancel');
    expect(await story.end()).toMatchObject({ status: 'cancelled', reason: 'given_up: dispatch_overdue' });
    expect(story.world.happened('shipment cancelled 1')).toBe(1);
  });

  test('needs nobody any more once it is dispatched', async () => {
    const { story, attentionId } = await overdueDispatch();
    await story.carry();
    expect((await story.end()).status).toBe('completed');
    expect(story.world.store.attentions.get(attentionId)?.closed).toEqual({ by: 'cancellation' });
  });

  test('needs nobody any more once the order is cancelled', async () => {
    const { story, attentionId } = await overdueDispatch();
    await story.cancel();
    expect((await story.end()).status).toBe('cancelled');
    expect(story.world.store.attentions.get(attentionId)?.closed).toEqual({ by: 'cancellation' });
  });
});

async function overdueDelivery(): Promise<{ story: Story; attentionId: string }> {
  const story = await shop().begin();
  await story.booked();
  await story.dispatched();
  await story.until('captured 1');
  await story.pass(29 * DAY_MS);
  expect(story.world.store.openAttentions()).toEqual([]);
  await story.pass(2 * DAY_MS);
  const { attentionId } = await story.parked('await_delivery');
  return { story, attentionId };
}

describe('a shipment that is not delivered within thirty days', () => {
  test('counts as delivered if a person knows better', async () => {
    const { story, attentionId } = await overdueDelivery();
    await story.decide(attentionId, 'skip');
    expect((await story.end()).status).toBe('completed');
    expect(story.world.happened('delivered 1')).toBe(1);
  });

  test('counts as lost, and its payment goes back, if a person gives it up', async () => {
    const { story, attentionId } = await overdueDelivery();
    await story.decide(attentionId, 'cancel');
    expect(await story.end()).toMatchObject({ status: 'cancelled', reason: 'delivery_overdue' });
    expect(story.world.store.fulfillments[0]?.status).toBe('failed');
    expect(story.world.happened('refunded 1')).toBe(1);
  });

  test('is waited for thirty days more if a person says so', async () => {
    const { story, attentionId } = await overdueDelivery();
    await story.decide(attentionId, 'retry');
    await story.until('attention closed');
    await story.pass(31 * DAY_MS);
    await story.decide((await story.parked('await_delivery')).attentionId, 'skip');
    expect((await story.end()).status).toBe('completed');
  });

  test('needs nobody any more once it is delivered', async () => {
    const { story, attentionId } = await overdueDelivery();
    await story.delivered();
    expect((await story.end()).status).toBe('completed');
    expect(story.world.store.attentions.get(attentionId)?.closed).toEqual({ by: 'cancellation' });
  });
});
