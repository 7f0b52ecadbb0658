import { describe, expect, test } from 'vitest';
import { DAY_MS } from '../support/workflow.ts';
import { useShop } from '../support/shop.ts';
import { before } from '../support/world.ts';

// A server for each test: this one skips no time any more once an activity was cancelled between two attempts.
const shop = useShop({ each: true });

/** Ten minutes is the longest wait that is honored; anything shorter makes more attempts in a day. */
const away = before('provider_unavailable', 10 * 60_000);

describe('a provider that is away for more than a day', () => {
  test('parks the order, which goes on by itself once the provider is back', async () => {
    const story = await shop().begin({ given: (world) => world.always('authorize', away) });
    await story.pass(DAY_MS + 60 * 60_000);
    const { reason, attentionId } = await story.parked('authorize');
    expect(reason).toContain('still trying');
    story.world.heal('authorize');
    await story.pass(30 * 60_000);
    await story.carry();
    expect((await story.end()).status).toBe('completed');
    expect(story.world.keys('authorize')).toEqual(['authorize:1']);
    expect(story.world.store.attentions.get(attentionId)?.closed).toEqual({ by: 'recovery' });
  });

  test('parks the order, which a person can give up meanwhile', async () => {
    const story = await shop().begin({ given: (world) => world.always('authorize', away) });
    await story.pass(DAY_MS + 60 * 60_000);
    const { attentionId } = await story.parked('authorize');
    await story.decide(attentionId, 'cancel');
    await story.world.until('the undo looks', () => story.world.attempts('undoAuthorize').length > 0);
    expect((await story.end()).status).toBe('cancelled');
  });
});
