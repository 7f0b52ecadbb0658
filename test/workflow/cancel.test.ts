import { describe, expect, test } from 'vitest';
import type { Activities } from '../../src/activities/activities.ts';
import { useShop } from '../support/shop.ts';
import { type Fault, before, refused } from '../support/world.ts';

const shop = useShop();

describe('a cancellation', () => {
  test('that comes before the workflow begins takes nothing', async () => {
    const story = await shop().begin({ cancelledBeforeStart: true });
    expect(await story.end()).toMatchObject({ status: 'cancelled', reason: 'cancel_requested' });
    expect(story.world.events).toEqual(['finished cancelled']);
  });

  test.each(['dispatch', 'capture'] as const)('while %s is being tried is withdrawn', async (activity) => {
    const trouble = activity === 'capture' ? 'provider_unavailable' : 'store_unavailable';
    const story = await shop().begin({ given: (world) => world.always(activity, before(trouble)) });
    await story.until('booked 1');
    await story.dispatched();
    await story.world.until(`${activity} was tried durably`, () => story.world.attempts(activity).length > 2);
    await story.cancel();
    story.world.heal(activity);
    await story.until('captured 1');
    await story.until('cancellation withdrawn');
    await story.delivered();
    expect((await story.end()).status).toBe('completed');
  });

  const parked: readonly [keyof Activities, string, Fault][] = [
    ['reserve', 'reserve', before('conflict')],
    ['authorize', 'authorize', before('provider_rejected')],
    ['confirm', 'confirm', before('conflict')],
    ['book', 'book', refused('address_undeliverable')],
  ];
  test.each(parked)('of an order that is parked at %s gives all back', async (activity, step, fault) => {
    const story = await shop().begin({ given: (world) => world.always(activity, fault) });
    const { attentionId } = await story.parked(step);
    await story.cancel();
    expect(await story.end()).toMatchObject({ status: 'cancelled', reason: 'cancel_requested' });
    expect(story.world.store.attentions.get(attentionId)?.closed).toEqual({ by: 'cancellation' });
  });

  test('between booking and dispatch gives all back', async () => {
    const story = await shop().begin();
    await story.until('booked 1');
    await story.cancel();
    expect(await story.end()).toMatchObject({ status: 'cancelled', reason: 'cancel_requested' });
    expect(story.world.happened('shipment cancelled 1')).toBe(1);
  });

  test("by Temporal's own means is the same as ours", async () => {
    const story = await shop().begin();
    await story.until('booked 1');
    await story.handle.cancel();
    expect(await story.end()).toMatchObject({ status: 'cancelled', reason: 'cancel_requested' });
  });

  test('is withdrawn, visibly, if the carrier says that the goods have left already', async () => {
    const story = await shop().begin();
    await story.until('booked 1');
    story.world.carrier.take(`${story.world.orderId}-1`);
    await story.cancel();
    await story.until('captured 1');
    await story.delivered();
    expect((await story.end()).status).toBe('completed');
    expect(story.world.events.slice(5)).toEqual([
      'cancellation withdrawn',
      'dispatched 1',
      'captured 1',
      'delivered 1',
      'finished completed',
    ]);
  });

  test('after dispatch is withdrawn, each time it is asked', async () => {
    const story = await shop().begin();
    await story.until('booked 1');
    await story.dispatched();
    await story.until('captured 1');
    await story.cancel();
    await story.until('cancellation withdrawn', 1);
    await story.cancel();
    await story.until('cancellation withdrawn', 2);
    await story.delivered();
    expect((await story.end()).status).toBe('completed');
  });

  test('that is asked twice cancels once', async () => {
    const story = await shop().begin();
    await story.until('booked 1');
    await story.cancel();
    await story.cancel();
    expect((await story.end()).status).toBe('cancelled');
    expect(story.world.happened('shipment cancelled 1')).toBe(1);
    expect(story.world.happened('voided')).toBe(1);
  });
});

describe('a cancellation of an order with two fulfillments', () => {
  test('of which one has left keeps that one, and gives the other back at once', async () => {
    const story = await shop().begin({ totalMinor: 900, weights: [2, 1] });
    await story.until('booked 1');
    await story.until('booked 2');
    await story.dispatched(1);
    await story.until('captured 1');
    await story.cancel();
    await story.until('released 2');
    await story.delivered(1);
    expect((await story.end()).status).toBe('partially_completed');
    expect(story.world.gateway.captures.map(({ amountMinor }) => amountMinor)).toEqual([600]);
    expect(story.world.happened('voided')).toBe(1);
    expect(story.world.store.fulfillments.map(({ status, stock }) => [status, stock])).toEqual([
      ['delivered', 'left'],
      ['cancelled', 'released'],
    ]);
  });

  test('of which the carrier has taken one in secret ends partially completed', async () => {
    const story = await shop().begin({ totalMinor: 900, weights: [2, 1] });
    await story.until('booked 1');
    await story.until('booked 2');
    story.world.carrier.take(`${story.world.orderId}-2`);
    await story.cancel();
    await story.until('captured 2');
    await story.delivered(2);
    expect((await story.end()).status).toBe('partially_completed');
    expect(story.world.happened('cancellation withdrawn')).toBe(1);
    expect(story.world.gateway.captures.map(({ amountMinor }) => amountMinor)).toEqual([300]);
  });

  test('that are both at home cancels both', async () => {
    const story = await shop().begin({ weights: [1, 1] });
    await story.until('booked 1');
    await story.until('booked 2');
    await story.cancel();
    expect((await story.end()).status).toBe('cancelled');
    expect(story.world.happened('voided')).toBe(1);
    expect(story.world.store.fulfillments.map(({ status, stock }) => [status, stock])).toEqual([
      ['cancelled', 'released'],
      ['cancelled', 'released'],
    ]);
  });
});
