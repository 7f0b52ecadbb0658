import { WorkflowNotFoundError } from '@temporalio/client';
import { describe, expect, test } from 'vitest';
import { useShop } from '../support/shop.ts';
import { after, held } from '../support/world.ts';

const shop = useShop();

describe("a carrier's callback", () => {
  test('that comes twice, or again when all is over, changes nothing', async () => {
    const story = await shop().begin();
    await story.booked();
    await story.dispatched();
    await story.dispatched();
    await story.until('captured 1');
    await story.dispatched();
    await story.delivered();
    expect((await story.end()).status).toBe('completed');
    expect(story.world.happened('dispatched 1')).toBe(1);
    expect(story.world.happened('captured 1')).toBe(1);
    await expect(story.delivered()).rejects.toThrow(WorkflowNotFoundError);
  });

  test('of a delivery proves the dispatch', async () => {
    const story = await shop().begin();
    await story.booked();
    await story.delivered();
    expect((await story.end()).status).toBe('completed');
    expect(story.world.events.slice(5)).toEqual(['dispatched 1', 'captured 1', 'delivered 1', 'finished completed']);
  });

  test('of a fulfillment that is none of the order changes nothing', async () => {
    const story = await shop().begin();
    await story.booked();
    await story.news('of-another-order', 'dispatched');
    await story.news('of-another-order', 'delivered');
    await story.carry();
    expect((await story.end()).status).toBe('completed');
  });

  test('of a fulfillment that was given up changes nothing', async () => {
    const story = await shop().begin({ weights: [1, 1] });
    await story.booked(1);
    await story.booked(2);
    await story.dispatched(1);
    await story.until('captured 1');
    await story.cancel();
    await story.until('released 2');
    await story.news(`${story.world.orderId}-2`, 'dispatched');
    await story.delivered(1);
    expect((await story.end()).status).toBe('partially_completed');
  });

  // Ends with an attempt under way: the test server skips no time after that.
  test('that comes before the answer to the booking is not lost', async () => {
    const story = await shop().begin({ given: (world) => world.script('book', after()).script('lookup', held()) });
    await story.world.holds();
    await story.dispatched();
    await story.until('captured 1');
    await story.delivered();
    expect((await story.end()).status).toBe('completed');
  });
});
