import { describe, expect, test } from 'vitest';
import type { Activities } from '../../src/activities/activities.ts';
import type { DecisionAction } from '../../src/domain/steps.ts';
import { happyWay, useShop } from '../support/shop.ts';
import type { Story } from '../support/workflow.ts';
import { type World, after, before, never } from '../support/world.ts';

const shop = useShop();

const steps: readonly { activity: keyof Activities; at: 'ours' | 'provider'; mend?: DecisionAction }[] = [
  { activity: 'screen', at: 'ours', mend: 'approve' },
  { activity: 'reserve', at: 'ours' },
  { activity: 'authorize', at: 'provider' },
  { activity: 'confirm', at: 'ours' },
  { activity: 'book', at: 'provider' },
  { activity: 'dispatch', at: 'ours' },
  { activity: 'capture', at: 'provider' },
  { activity: 'deliver', at: 'ours' },
  { activity: 'finish', at: 'ours' },
];

/** All that happened but what shows an attention. */
function effects({ events }: World): string[] {
  return events.filter((event) => !event.startsWith('attention'));
}

async function completes(story: Story): Promise<void> {
  await story.carry();
  expect((await story.end()).status).toBe('completed');
  expect(effects(story.world)).toEqual(happyWay);
}

describe.each(steps)('$activity', ({ activity, at, mend = 'retry' }) => {
  const trouble = at === 'ours' ? ('store_unavailable' as const) : ('provider_unavailable' as const);
  const refusal = at === 'ours' ? ('conflict' as const) : ('provider_rejected' as const);
  const attempts = (story: Story): string[] =>
    story.world.attempts(activity).map(({ local, attempt }) => `${local ? 'local' : 'durable'} ${attempt}`);

  test('failing before its effect runs again, durably and under the same key', async () => {
    const story = await shop().begin({ given: (world) => world.script(activity, before(trouble)) });
    await completes(story);
    expect(attempts(story)).toEqual(['local 1', 'durable 1']);
    expect(story.world.keys(activity)).toHaveLength(1);
  });

  test('losing its answer after its effect has the effect once', async () => {
    const story = await shop().begin({ given: (world) => world.script(activity, after(trouble), after(trouble)) });
    await completes(story);
    // A provider's step finds its effect by asking; one of ours gets its stored result.
    expect(attempts(story).length).toBeGreaterThan(1);
    expect(story.world.keys(activity)).toHaveLength(1);
  });

  test('failing four times goes on as soon as the trouble is over', async () => {
    const faults = Array.from({ length: 4 }, () => before(trouble));
    const story = await shop().begin({ given: (world) => world.script(activity, ...faults) });
    await completes(story);
    expect(attempts(story)).toEqual(['local 1', 'durable 1', 'durable 2', 'durable 3', 'durable 4']);
    expect(story.world.keys(activity)).toHaveLength(1);
  });

  test('failing for good waits for a person, and goes on as decided', async () => {
    const story = await shop().begin({ given: (world) => world.script(activity, before(refusal)) });
    const carried = story.carry();
    const attention = await story.parked(activity);
    expect(attention.reason).toContain(refusal);
    expect(attempts(story)).toEqual(['local 1']);
    await story.decide(attention.attentionId, mend);
    await carried;
    expect((await story.end()).status).toBe('completed');
    // An approval stands for the screening that could not be done.
    expect(effects(story.world)).toEqual(happyWay.filter((event) => mend === 'retry' || event !== 'screened'));
    expect(story.world.keys(activity)).toHaveLength(1);
  });
});

describe('a local attempt', () => {
  test.each(['reserve', 'authorize'] as const)(
    'that never answers (%s) gives way to a durable one',
    async (activity) => {
      const story = await shop().begin({ given: (world) => world.script(activity, never) });
      await completes(story);
      expect(story.world.attempts(activity).map(({ local }) => local)).toEqual([true, false]);
      expect(story.world.keys(activity)).toHaveLength(1);
    },
  );

  test('that was asked to wait makes the durable one wait so long', async () => {
    const story = await shop().begin({
      given: (world) => world.script('authorize', before('provider_rate_limited', 5 * 60_000)),
    });
    await story.world.until('the local attempt is over', () => story.world.attempts('authorize').length === 1);
    await story.pass(4 * 60_000);
    expect(story.world.attempts('authorize')).toHaveLength(1);
    await story.pass(2 * 60_000);
    await completes(story);
    expect(story.world.attempts('authorize')).toHaveLength(2);
  });
});
