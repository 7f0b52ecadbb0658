import { describe, expect, test } from 'vitest';
import { useShop } from '../support/shop.ts';
import { DAY_MS, type Story } from '../support/workflow.ts';
import { before, refused } from '../support/world.ts';

const shop = useShop();

/** The order's workflow is lost, and another one takes its place. */
async function replaced(story: Story, incarnation = 1): Promise<Story> {
  await story.handle.terminate('lost');
  return shop().begin({ world: story.world, incarnation });
}

describe('a workflow in the place of a lost one', () => {
  // First: a workflow that is terminated with an activity under way leaves its server unable to skip time.
  test('does not charge again for a delivery whose money had been given back', async () => {
    const lost = await shop().begin({
      weights: [1, 1],
      given: (world) => world.always('failDelivery', before('conflict')),
    });
    for (const fulfillment of [1, 2]) {
      await lost.booked(fulfillment);
      await lost.dispatched(fulfillment);
      await lost.until(`captured ${fulfillment}`);
    }
    await lost.delivered(2);
    await lost.until('delivered 2');
    await lost.pass(31 * DAY_MS);
    await lost.decide((await lost.parked('await_delivery', 1)).attentionId, 'cancel');
    await lost.parked('fail_delivery');
    const { world } = lost;
    world.heal('failDelivery');
    const story = await replaced(lost);
    await story.dispatched(1);
    await story.delivered(2);
    expect((await story.end()).status).toBe('partially_completed');
    expect(world.happened('captured 1')).toBe(1);
    expect(world.happened('refunded 1')).toBe(1);
  });

  test('comes to the same end without a new effect if all was done', async () => {
    const lost = await shop().begin({ given: (world) => world.always('finish', before('conflict')) });
    await lost.carry();
    await lost.parked('finish');
    const { world } = lost;
    const effects = [...world.events];
    world.heal('finish');
    const story = await replaced(lost);
    await story.carry();
    expect((await story.end()).status).toBe('completed');
    expect(world.events.slice(effects.length)).toEqual(['finished completed']);
  });

  test('goes on where the lost one was', async () => {
    const lost = await shop().begin();
    await lost.booked();
    const story = await replaced(lost);
    await story.carry();
    expect((await story.end()).status).toBe('completed');
    expect(story.world.happened('authorized')).toBe(1);
    expect(story.world.happened('booked 1')).toBe(1);
  });

  test('ends what the lost one was giving up, and begins nothing anew', async () => {
    const lost = await shop().begin({ given: (world) => world.always('finish', before('conflict')) });
    await lost.booked();
    await lost.cancel();
    await lost.parked('finish');
    const { world } = lost;
    const effects = [...world.events];
    world.heal('finish');
    const story = await replaced(lost);
    expect((await story.end()).status).toBe('cancelled');
    expect(world.events.slice(effects.length)).toEqual(['finished cancelled']);
    expect(world.keys('authorize')).toEqual(['authorize:1']);
  });

  test('cancels the shipment that the lost one could not reach', async () => {
    const lost = await shop().begin();
    await lost.booked();
    const { world } = lost;
    world.always('undoBook', before());
    await lost.cancel();
    await world.until('the carrier was asked in vain', () => world.attempts('undoBook').length > 1);
    world.heal('undoBook');
    const story = await replaced(lost);
    expect((await story.end()).status).toBe('cancelled');
    expect(world.happened('shipment cancelled 1')).toBe(1);
    expect(world.happened('booked 1')).toBe(1);
  });

  test('goes on with the generation that a decision had come to', async () => {
    const lost = await shop().begin({ given: (world) => world.script('book', refused('address_undeliverable')) });
    await lost.decide((await lost.parked('book')).attentionId, 'retry');
    await lost.booked();
    const { world } = lost;
    const story = await replaced(lost);
    await story.carry();
    expect((await story.end()).status).toBe('completed');
    expect(world.happened('booked 1')).toBe(1);
    expect(world.keys('book')).toEqual(['book:o4-1:1', 'book:o4-1:2'].map((key) => key.replace('o4', world.orderId)));
  });

  test('is cancelled while it waits for a review, before it takes anything', async () => {
    const lost = await shop().begin({ verdict: { verdict: 'review', reason: 'high_value' } });
    await lost.parked('screen');
    const { world } = lost;
    const story = await replaced(lost);
    await world.until('the review is open again', () => world.store.openAttentions().length > 1);
    await story.cancel();
    expect((await story.end()).status).toBe('cancelled');
    expect(world.happened('reserved')).toBe(0);
  });

  test('told of a cancellation at once first finds out what there is to undo', async () => {
    const lost = await shop().begin();
    await lost.booked();
    await lost.handle.terminate('lost');
    const story = await shop().begin({ world: lost.world, incarnation: 1, cancelledBeforeStart: true });
    expect((await story.end()).status).toBe('cancelled');
    expect(story.world.happened('voided')).toBe(1);
  });
});
