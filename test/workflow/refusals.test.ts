import { describe, expect, test } from 'vitest';
import { useShop } from '../support/shop.ts';
import { after, before, refused } from '../support/world.ts';

const shop = useShop();

describe('a refusal by the business', () => {
  test('by the risk rules rejects the order before it takes anything', async () => {
    const story = await shop().begin({ verdict: { verdict: 'reject', reason: 'blocked' } });
    expect(await story.end()).toMatchObject({ status: 'rejected', reason: 'screening: blocked' });
    expect(story.world.events).toEqual(['screened', 'finished rejected']);
  });

  test('for lack of stock rejects the order, and names what is missing', async () => {
    const story = await shop().begin({ outOfStock: true });
    expect(await story.end()).toMatchObject({ status: 'rejected', reason: 'out_of_stock: sku-1' });
    expect(story.world.attempts('authorize')).toHaveLength(0);
  });

  test('by the card gives the stock back, and retries nothing', async () => {
    const story = await shop().begin({ given: (world) => world.script('authorize', refused('insufficient_funds')) });
    expect(await story.end()).toMatchObject({ status: 'rejected', reason: 'payment_declined: insufficient_funds' });
    expect(story.world.attempts('authorize')).toHaveLength(1);
    expect(story.world.events).toEqual(['screened', 'reserved', 'released', 'finished rejected']);
  });
});

describe('an order in review', () => {
  const verdict = { verdict: 'review', reason: 'total_above_limit' } as const;

  test('that is approved goes on to its end', async () => {
    const story = await shop().begin({ verdict });
    const { attentionId, allowed, reason } = await story.parked('screen');
    expect({ allowed, reason }).toEqual({ allowed: ['approve', 'reject'], reason: 'total_above_limit' });
    await story.decide(attentionId, 'approve');
    await story.carry();
    expect((await story.end()).status).toBe('completed');
  });

  test('that is rejected ends rejected, with nothing taken', async () => {
    const story = await shop().begin({ verdict });
    const { attentionId } = await story.parked('screen');
    await story.decide(attentionId, 'reject');
    expect(await story.end()).toMatchObject({ status: 'rejected', reason: 'review: total_above_limit' });
    expect(story.world.attempts('reserve')).toHaveLength(0);
  });

  test('that the customer cancels ends cancelled, and its attention closes', async () => {
    const story = await shop().begin({ verdict });
    const { attentionId } = await story.parked('screen');
    await story.cancel();
    expect(await story.end()).toMatchObject({ status: 'cancelled', reason: 'cancel_requested' });
    expect(story.world.store.attentions.get(attentionId)?.closed).toEqual({ by: 'cancellation' });
  });

  test('because the rules cannot be asked is rejected, not cancelled, if a person rejects it', async () => {
    const story = await shop().begin({ given: (world) => world.script('screen', before('conflict')) });
    const { attentionId } = await story.parked('screen');
    await story.decide(attentionId, 'reject');
    expect(await story.end()).toMatchObject({ status: 'rejected' });
  });
});

describe('two fulfillments that are parked at a time', () => {
  test('are two attentions, decided each by itself', async () => {
    const story = await shop().begin({
      weights: [1, 1],
      given: (world) => world.script('book', refused('first'), refused('second')),
    });
    const first = await story.parked('book', 1);
    const second = await story.parked('book', 2);
    await story.decide(second.attentionId, 'retry');
    await story.decide(first.attentionId, 'cancel');
    await story.booked(2);
    await story.dispatched(2);
    await story.until('captured 2');
    await story.delivered(2);
    expect(await story.end()).toMatchObject({ status: 'partially_completed', reason: 'given_up: book: first' });
  });
});

describe('a capture that a person sees to outside', () => {
  test('is given back if it had its effect all the same', async () => {
    const story = await shop().begin({ given: (world) => world.script('capture', after('provider_rejected')) });
    await story.booked();
    await story.dispatched();
    await story.decide((await story.parked('capture')).attentionId, 'skip');
    await story.until('refunded 1');
    await story.delivered();
    expect((await story.end()).status).toBe('completed');
    expect(story.world.attempts('undoAuthorize')).toEqual([]);
  });
});
