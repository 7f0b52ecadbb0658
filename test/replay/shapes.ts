import { lookSignal, newsSignal } from '../../src/workflows/contract.ts';
import { beginRedrive, beginTrouble, tellOfProbes, troublePolicy } from '../support/delivery-stories.ts';
import { MemoryConsumer } from '../support/memory-consumer.ts';
import { MemoryRedrive } from '../support/memory-redrive.ts';
import { DAY_MS, type BeginOptions, type Shop, type Story } from '../support/workflow.ts';
import { after, before, held, late, never, refused } from '../support/world.ts';

/** A workflow that was played with, on its way to its end. */
interface Played {
  readonly handle: { fetchHistory(): Promise<unknown> };
  end(): Promise<{ readonly status: string }>;
}

type Play = (shop: Shop) => Promise<Played>;

/** Starts an order, and then plays with it. */
function order(given: BeginOptions, play: (story: Story, shop: Shop) => Promise<unknown>): Play {
  return async (shop) => {
    const story = await shop.begin(given);
    await play(story, shop);
    return story;
  };
}

async function untilOverdue(story: Story): Promise<string> {
  await story.booked();
  await story.dispatched();
  await story.until('captured 1');
  await story.pass(31 * DAY_MS);
  return (await story.parked('await_delivery')).attentionId;
}

/** Every shape that a history can have: each plays a workflow to its end, under the name of its file. */
export const shapes: Readonly<Record<string, Play>> = {
  completed: order({}, (story) => story.carry()),

  'completed-three-fulfillments': order({ totalMinor: 1001, weights: [3, 2, 1] }, async (story) => {
    for (const n of [1, 2, 3]) await story.booked(n);
    await Promise.all([1, 2, 3].map((n) => story.dispatched(n)));
    for (const n of [1, 2, 3]) await story.until(`captured ${n}`);
    await Promise.all([1, 2, 3].map((n) => story.delivered(n)));
  }),

  'rejected-by-rules': order({ verdict: { verdict: 'reject', reason: 'blocked' } }, async () => undefined),

  'out-of-stock': order({ outOfStock: true }, async () => undefined),

  declined: order(
    { given: (world) => world.script('authorize', refused('insufficient_funds')) },
    async () => undefined,
  ),

  'review-approved': order({ verdict: { verdict: 'review', reason: 'total_above_limit' } }, async (story) => {
    await story.decide((await story.parked('screen')).attentionId, 'approve');
    await story.carry();
  }),

  'review-cancelled': order({ verdict: { verdict: 'review', reason: 'total_above_limit' } }, async (story) => {
    await story.parked('screen');
    await story.cancel();
  }),

  'cancelled-before-start': order({ cancelledBeforeStart: true }, async () => undefined),

  'cancelled-after-booking': order({}, async (story) => {
    await story.booked();
    await story.cancel();
  }),

  'cancelled-by-temporal': order({}, async (story) => {
    await story.booked();
    await story.handle.cancel();
  }),

  'cancelled-in-flight': order({ given: (world) => world.script('authorize', before(), held()) }, async (story) => {
    await story.world.holds();
    await story.cancel();
    await story.activitiesCancelled();
    story.world.release();
  }),

  'undo-looks-again': order({ given: (world) => world.script('authorize', late, held()) }, async (story) => {
    await story.world.holds();
    await story.cancel();
    await story.activitiesCancelled();
    story.world.release();
    await story.world.land();
  }),

  'cancellation-withdrawn-by-carrier': order({}, async (story) => {
    await story.booked();
    story.world.carrier.take(`${story.world.orderId}-1`);
    await story.cancel();
    await story.until('captured 1');
    await story.delivered();
  }),

  'cancellation-withdrawn-after-dispatch': order({}, async (story) => {
    await story.booked();
    await story.dispatched();
    await story.until('captured 1');
    await story.cancel();
    await story.until('cancellation withdrawn');
    await story.delivered();
  }),

  'partially-completed': order({ totalMinor: 900, weights: [2, 1] }, async (story) => {
    await story.booked(1);
    await story.booked(2);
    await story.dispatched(1);
    await story.until('captured 1');
    await story.cancel();
    await story.until('released 2');
    await story.delivered(1);
  }),

  'durable-fall-back': order(
    {
      given: (world) =>
        world
          .script('screen', before('store_unavailable'))
          .script('reserve', after('store_unavailable'))
          .script('authorize', after(), before())
          .script('confirm', before('store_unavailable'), before('store_unavailable'))
          .script('book', before(), before())
          .script('dispatch', after('store_unavailable'))
          .script('capture', before())
          .script('deliver', before('store_unavailable'))
          .script('finish', after('store_unavailable')),
    },
    (story) => story.carry(),
  ),

  'local-time-out': order({ given: (world) => world.script('reserve', never) }, (story) => story.carry()),

  'retry-after': order(
    { given: (world) => world.script('authorize', before('provider_rate_limited', 5 * 60_000)) },
    async (story) => {
      await story.passUntil('authorized', 6 * 60_000, () => story.world.happened('authorized') === 1);
      await story.carry();
    },
  ),

  'parked-retry': order({ given: (world) => world.script('book', refused('busy')) }, async (story) => {
    await story.decide((await story.parked('book')).attentionId, 'retry');
    await story.carry();
  }),

  // Those without an audit log's records are of before: 'parked-retry' and its like.
  'decision-recorded': order({ given: (world) => world.script('book', refused('busy')) }, async (story) => {
    const { attentionId } = await story.parked('book');
    await story.tell({ attentionId, decisionId: 'forged', action: 'retry', auditId: 'none' }).catch(() => undefined);
    await story.decide(attentionId, 'retry');
    await story.carry();
  }),

  'parked-corrected': order(
    { given: (world) => world.script('authorize', before('provider_rejected')) },
    async (story) => {
      const { attentionId } = await story.parked('authorize');
      await story.decide(attentionId, 'retry_corrected', { token: 'tok_mastercard' });
      await story.passUntil('authorized', 16_000, () => story.world.happened('authorized') === 1);
      await story.carry();
    },
  ),

  'parked-skip': order({ given: (world) => world.script('capture', refused('expired')) }, async (story) => {
    await story.booked();
    await story.dispatched();
    await story.decide((await story.parked('capture')).attentionId, 'skip');
    await story.delivered();
  }),

  'parked-undo': order({ given: (world) => world.script('undoAuthorize', refused('settled')) }, async (story) => {
    await story.booked();
    await story.cancel();
    await story.decide((await story.parked('void')).attentionId, 'retry');
  }),

  'two-parked': order(
    { weights: [1, 1], given: (world) => world.script('book', refused('first'), refused('second')) },
    async (story) => {
      const first = await story.parked('book', 1);
      const second = await story.parked('book', 2);
      await story.decide(second.attentionId, 'retry');
      await story.decide(first.attentionId, 'cancel');
      await story.booked(2);
      await story.dispatched(2);
      await story.until('captured 2');
      await story.delivered(2);
    },
  ),

  'dispatch-overdue': order({}, async (story) => {
    await story.booked();
    await story.pass(31 * DAY_MS);
    await story.decide((await story.parked('await_dispatch')).attentionId, 'retry');
    await story.until('attention closed');
    await story.carry();
  }),

  'delivery-overdue': order({}, async (story) => {
    await story.decide(await untilOverdue(story), 'cancel');
  }),

  'delivered-while-overdue': order({}, async (story) => {
    await untilOverdue(story);
    await story.delivered();
  }),

  'provider-away-for-a-day': order(
    { given: (world) => world.always('authorize', before('provider_unavailable', 10 * 60_000)) },
    async (story) => {
      await story.passUntil('parked', DAY_MS, () => story.world.happened('attention authorize') === 1);
      story.world.heal('authorize');
      await story.passUntil('authorized', 10 * 60_000, () => story.world.happened('authorized') === 1);
      await story.carry();
    },
  ),

  replacement: async (shop) => {
    const lost = await shop.begin();
    await lost.booked();
    await lost.handle.terminate('lost');
    const story = await shop.begin({ world: lost.world, incarnation: 1 });
    await story.carry();
    return story;
  },
  'replacement-given-up': async (shop) => {
    const lost = await shop.begin({ given: (world) => world.always('finish', before('conflict')) });
    await lost.booked();
    await lost.cancel();
    await lost.parked('finish');
    await lost.handle.terminate('lost');
    lost.world.heal('finish');
    return shop.begin({ world: lost.world, incarnation: 1 });
  },

  'trouble-ended': async (shop) => {
    tellOfProbes(shop);
    const story = await beginTrouble(shop, new MemoryConsumer({ backlog: 40 }));
    await story.called('probe', 2);
    story.it.isUp = true;
    await story.called('open', 2);
    story.it.isUp = false;
    await story.pass(5_000);
    story.it.isUp = true;
    return story;
  },

  'trouble-with-the-database-away': async (shop) => {
    for (const method of ['observe', 'probe', 'open', 'end'] as const) shop.delivery.away(method, 2);
    return beginTrouble(shop, new MemoryConsumer({ isUp: true }));
  },

  'trouble-paused': async (shop) => {
    const story = await beginTrouble(shop, new MemoryConsumer());
    await story.called('probe');
    story.it.change('paused', await story.now());
    await story.handle.signal(newsSignal);
    await story.pass(DAY_MS / 24);
    story.it.change('enabled', await story.now());
    story.it.isUp = true;
    await story.handle.signal(newsSignal);
    return story;
  },

  'trouble-given-up': async (shop) =>
    beginTrouble(shop, new MemoryConsumer(), { policy: { ...troublePolicy, giveUpMs: 10 * 60_000 } }),

  'trouble-left': async (shop) => {
    const story = await beginTrouble(shop, new MemoryConsumer());
    await story.called('probe');
    story.it.nextTrouble();
    return story;
  },

  'redrive-completed': async (shop) => beginRedrive(shop, new MemoryRedrive({ total: 20, ratePerSecond: 5 })),

  'redrive-paused-and-stopped': async (shop) => {
    const story = await beginRedrive(shop, new MemoryRedrive({ total: 100, ratePerSecond: 5 }));
    await story.called('sendNext', 2);
    story.it.state = 'paused';
    await story.handle.signal(lookSignal);
    await story.pass(DAY_MS / 24);
    story.it.state = 'stopped';
    await story.handle.signal(lookSignal);
    return story;
  },

  'redrive-canaries-failed': async (shop) => {
    const redrive = new MemoryRedrive({ total: 20 });
    redrive.fate = 'waits';
    const story = await beginRedrive(shop, redrive);
    await story.called('sendNext');
    await story.pass(60_000);
    story.it.deadAgain = 3;
    return story;
  },
};
