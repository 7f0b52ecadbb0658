import { describe, expect, test } from 'vitest';
import { useShop } from '../support/shop.ts';
import type { BeginOptions, Story } from '../support/workflow.ts';
import { DAY_MS } from '../support/workflow.ts';
import { type Fault, after, before, held, late, refused } from '../support/world.ts';

const shop = useShop();

/** An order that is booked, and then cancelled: it has a shipment, an authorization and stock to give back. */
async function bookedAndCancelled(options: BeginOptions = {}): Promise<Story> {
  const story = await shop().begin(options);
  await story.until('booked 1');
  await story.cancel();
  return story;
}

const gaveAllBack = ['shipment cancelled 1', 'given up 1', 'voided', 'released', 'finished cancelled'];

/** What happened after the booking, but what shows an attention. */
function sinceBooking({ world }: Story): string[] {
  const { events } = world;
  const people = (event: string): boolean => event.startsWith('attention') || event === 'corrected';
  return events.slice(events.indexOf('booked 1') + 1).filter((event) => !people(event));
}

describe('what an order took', () => {
  test('and gave back in a task that had to be done again, is given up then, and nobody is asked', async () => {
    const story = await shop().begin({ given: (world) => world.always('reserve', before('step_undone')) });
    expect(await story.end()).toMatchObject({ status: 'cancelled', reason: 'given_up: reserve: undone before' });
    expect(story.world.events.filter((event) => event.startsWith('attention'))).toEqual([]);
  });

  test('goes back newest first', async () => {
    const story = await bookedAndCancelled();
    expect((await story.end()).status).toBe('cancelled');
    expect(sinceBooking(story)).toEqual(gaveAllBack);
  });

  const undos = [
    { activity: 'undoBook', trouble: 'provider_unavailable' },
    { activity: 'undoAuthorize', trouble: 'provider_unavailable' },
    { activity: 'release', trouble: 'store_unavailable' },
  ] as const;
  const faults: readonly [string, (trouble: 'provider_unavailable' | 'store_unavailable') => Fault][] = [
    ['failing before its effect', before],
    ['losing its answer', after],
  ];
  for (const { activity, trouble } of undos) {
    test.each(faults)(`goes back once in spite of ${activity} %s`, async (_, fault) => {
      const given = Array.from({ length: 3 }, () => fault(trouble));
      const story = await bookedAndCancelled({ given: (world) => world.script(activity, ...given) });
      expect((await story.end()).status).toBe('cancelled');
      expect(sinceBooking(story)).toEqual(gaveAllBack);
      expect(story.world.keys(activity)).toHaveLength(1);
      expect(story.world.attempts(activity).length).toBeGreaterThan(1);
    });
  }

  test('stays undone once: a cancellation while it goes back changes nothing', async () => {
    const story = await bookedAndCancelled({
      given: (world) => world.script('undoAuthorize', before('provider_rejected')),
    });
    const { attentionId } = await story.parked('void');
    await story.cancel();
    await story.handle.cancel();
    await story.decide(attentionId, 'retry');
    expect((await story.end()).status).toBe('cancelled');
    expect(sinceBooking(story)).toEqual(gaveAllBack);
  });
});

describe('an undo that its provider refuses', () => {
  test('waits for a person, and asks again under a new key', async () => {
    const story = await bookedAndCancelled({ given: (world) => world.script('undoAuthorize', refused('settled')) });
    const { attentionId, reason, allowed } = await story.parked('void');
    expect({ reason, allowed }).toEqual({ reason: 'settled', allowed: ['retry', 'skip'] });
    await story.decide(attentionId, 'retry');
    expect((await story.end()).status).toBe('cancelled');
    expect(sinceBooking(story)).toEqual(gaveAllBack);
    expect(story.world.keys('undoAuthorize')).toEqual(['void:1', 'void:1.2']);
  });

  test('can be skipped by a person who saw to it outside', async () => {
    const story = await bookedAndCancelled({ given: (world) => world.always('undoAuthorize', refused('settled')) });
    const { attentionId } = await story.parked('void');
    await story.decide(attentionId, 'skip');
    expect((await story.end()).status).toBe('cancelled');
    expect(sinceBooking(story)).toEqual(gaveAllBack.filter((event) => event !== 'voided'));
  });

  test.each(['retry', 'skip'] as const)('of a shipment is left to a person, who decides: %s', async (action) => {
    const story = await bookedAndCancelled({
      given: (world) => world.script('undoBook', before('provider_rejected')),
    });
    const { attentionId } = await story.parked('cancel_shipment', 1);
    await story.decide(attentionId, action);
    expect((await story.end()).status).toBe('cancelled');
    expect(sinceBooking(story)).toEqual(gaveAllBack.slice(action === 'retry' ? 0 : 1));
  });

  test.each(['retry', 'skip'] as const)('of a refund is left to a person, who decides: %s', async (action) => {
    const story = await shop().begin({ given: (world) => world.script('undoCapture', refused('too_late')) });
    await story.until('booked 1');
    await story.dispatched();
    await story.until('captured 1');
    await story.pass(31 * DAY_MS);
    await story.decide((await story.parked('await_delivery')).attentionId, 'cancel');
    await story.decide((await story.parked('refund', 1)).attentionId, action);
    expect(await story.end()).toMatchObject({ status: 'cancelled', reason: 'delivery_overdue' });
    expect(story.world.happened('refunded 1')).toBe(action === 'retry' ? 1 : 0);
  });
});

describe('a step whose answer was lost', () => {
  test('is looked for again, and undone if its effect came after its undo had found nothing', async () => {
    const story = await shop().begin({ given: (world) => world.script('authorize', late, held()) });
    await story.world.holds();
    await story.cancel();
    await story.activitiesCancelled();
    story.world.release();
    expect(story.world.attempts('undoAuthorize')).toHaveLength(1);
    expect(story.world.gateway.authorizations).toHaveLength(0);
    await story.world.land();
    expect((await story.end()).status).toBe('cancelled');
    expect(story.world.events.slice(2)).toEqual(['authorized', 'voided', 'released', 'finished cancelled']);
  });

  test('is undone by nothing if its effect never comes', async () => {
    const story = await shop().begin({ given: (world) => world.script('authorize', before(), held()) });
    await story.world.holds();
    await story.cancel();
    await story.activitiesCancelled();
    story.world.release();
    expect((await story.end()).status).toBe('cancelled');
    expect(story.world.events.slice(2)).toEqual(['released', 'finished cancelled']);
    expect(story.world.attempts('undoAuthorize')).toHaveLength(2);
  });

  // Ends with an attempt under way: the test server skips no time after that.
  test('is undone if its effect had happened', async () => {
    // The local attempt lost its answer; the durable one is still asking what became of it.
    const story = await shop().begin({
      given: (world) => world.script('authorize', after()).script('lookup', held()),
    });
    await story.world.holds();
    await story.cancel();
    expect((await story.end()).status).toBe('cancelled');
    expect(story.world.events.slice(2)).toEqual(['authorized', 'voided', 'released', 'finished cancelled']);
  });
});
