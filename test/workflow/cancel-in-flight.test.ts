import { describe, expect, test } from 'vitest';
import { useShop } from '../support/shop.ts';
import { before, held } from '../support/world.ts';

const shop = useShop();

describe('a cancellation while an attempt is on its way', () => {
  test.each(['book', 'authorize'] as const)(
    'at %s undoes it, and looks again for what may come late',
    async (activity) => {
      const story = await shop().begin({ given: (world) => world.script(activity, before(), held()) });
      await story.world.holds();
      await story.cancel();
      await story.activitiesCancelled();
      story.world.release();
      expect(await story.end()).toMatchObject({ status: 'cancelled', reason: 'cancel_requested' });
      expect(story.world.attempts(activity === 'book' ? 'undoBook' : 'undoAuthorize')[1]?.local).toBe(true);
    },
  );

  // These end at once, with the attempt still under way: the test server skips no time after that.
  test.each(['confirm', 'reserve', 'screen'] as const)('at %s gives all back', async (activity) => {
    const given = [before('store_unavailable'), held('store_unavailable')];
    const story = await shop().begin({ given: (world) => world.script(activity, ...given) });
    await story.world.holds();
    await story.cancel();
    expect(await story.end()).toMatchObject({ status: 'cancelled', reason: 'cancel_requested' });
    story.world.release();
    await story.world.until('the late attempt is over', () => story.world.attempts(activity).length === 2);
    story.world.assertSound();
  });
});
