import { describe, expect, test } from 'vitest';
import { orderAttentionKey, orderStatusKey, progressQuery } from '../../src/workflows/contract.ts';
import { happyWay, useShop } from '../support/shop.ts';

const shop = useShop();

describe('an order whose every step succeeds', () => {
  test('goes from screening to completed, each effect once and every step local', async () => {
    const story = await shop().begin();
    await story.carry();
    expect(await story.end()).toEqual({ orderId: story.world.orderId, status: 'completed', reason: null });
    expect(story.world.events).toEqual(happyWay);
    expect(story.world.calls.every(({ local, attempt }) => local && attempt === 1)).toBe(true);
    expect(new Set(story.world.calls.map(({ key }) => key)).size).toBe(story.world.calls.length);
  });

  test.each([2, 3])('with %d fulfillments captures each share as its goods leave, and all add up', async (count) => {
    const story = await shop().begin({ totalMinor: 1001, weights: [3, 2, 1].slice(0, count) });
    await story.carry(count);
    expect((await story.end()).status).toBe('completed');
    expect(story.world.gateway.captures.map(({ amountMinor }) => amountMinor).reduce((a, b) => a + b)).toBe(1001);
    expect(story.world.keys('capture')).toEqual(
      [1, 2, 3].slice(0, count).map((n) => `capture:${story.world.orderId}-${n}:1`),
    );
  });

  test('runs the local activities of parallel fulfillments one after the other', async () => {
    const story = await shop().begin({ weights: [1, 1, 1, 1, 1] });
    await story.carry(5);
    await story.end();
    expect(story.world.mostLocalAtOnce).toBe(1);
  });

  test('shows its status in a search attribute and its progress to a query', async () => {
    const story = await shop().begin({ verdict: { verdict: 'review', reason: 'total_above_limit' } });
    const { attentionId } = await story.parked('screen');
    expect(await story.handle.query(progressQuery)).toMatchObject({
      status: 'in_review',
      attentions: [{ attentionId, step: 'screen', reason: 'total_above_limit' }],
    });
    const parked = await story.handle.describe();
    expect(parked.typedSearchAttributes.get(orderStatusKey)).toBe('in_review');
    expect(parked.typedSearchAttributes.get(orderAttentionKey)).toBe('screen');
    await story.decide(attentionId, 'approve');
    await story.carry();
    await story.end();
    const ended = await story.handle.describe();
    expect(ended.typedSearchAttributes.get(orderStatusKey)).toBe('completed');
    expect(ended.typedSearchAttributes.get(orderAttentionKey)).toBeUndefined();
  });
});
