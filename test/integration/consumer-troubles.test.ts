import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { delivered, failed, newDeliveryQueue } from '../support/settlements.ts';
import { pooled } from '../support/wait.ts';

let q: Awaited<ReturnType<typeof newDeliveryQueue>>;
beforeAll(async () => {
  q = await newDeliveryQueue();
});
beforeEach(() => q.clear());
afterAll(() => q.stop());

const state = async (id: string) =>
  (await q.query(sql`select state, state_reason, version from consumers where id = ${id}`))[0];

test('what is meant for another trouble, or comes after its end, does nothing', async () => {
  const id = await q.inTrouble('recovering');
  const before = await q.health(id);
  await q.troubles.probe(id, 3);
  await q.troubles.probe(id, 2);
  await q.troubles.open(id, 2, 5);
  await q.troubles.giveUp(id, 2);
  expect(await q.troubles.end(id, 2)).toBe(false);
  expect(await q.health(id)).toEqual(before);
  expect(await q.troubles.end(id, 3)).toBe(true);
  const over = await q.health(id);
  await q.troubles.open(id, 3, 5);
  await q.troubles.giveUp(id, 3);
  expect(await q.troubles.end(id, 3)).toBe(false);
  expect(await q.health(id)).toEqual(over);
  expect(await state(id)).toMatchObject({ state: 'enabled' });
});

test('all that are in trouble and enabled are known: others are again as soon as they are', async () => {
  const [one, deleted, paused, disabled] = [
    await q.inTrouble('probing'),
    await q.inTrouble('probing'),
    await q.inTrouble('recovering', '', { state: 'paused' }),
    await q.inTrouble('probing', '', { state: 'disabled' }),
  ];
  await q.consumer();
  await q.query(sql`update consumers set deleted_at = clock_timestamp() where id = ${deleted}`);
  expect(await q.troubles.inTrouble()).toEqual([{ consumerId: one, epoch: 3 }]);
  await q.query(sql`update consumers set state = 'enabled' where id = any(${[paused, disabled]})`);
  expect(await q.troubles.inTrouble()).toEqual(
    [one, paused, disabled].toSorted().map((consumerId) => ({ consumerId, epoch: 3 })),
  );
});

test('a probe brings the next delivery forward', async () => {
  const id = await q.inTrouble('probing');
  await q.add(id);
  expect(await q.claim()).toEqual([]);
  await q.troubles.probe(id, 3);
  expect(await q.only()).toMatchObject({ mode: 'probing' });
});

test('it is opened after a success, not if it failed again since', async () => {
  const id = await q.inTrouble('probing');
  await q.troubles.open(id, 3, 1);
  expect(await q.health(id)).toMatchObject({ mode: 'probing', send_limit: null });
  await q.add(id);
  await q.troubles.probe(id, 3);
  await q.settle(delivered(await q.only()));
  await q.troubles.open(id, 3, 1);
  expect(await q.health(id)).toMatchObject({ mode: 'recovering', send_limit: 1, is_probed_soon: null });
  await q.troubles.open(id, 3, 6);
  expect(await q.health(id)).toMatchObject({ mode: 'recovering', send_limit: 6 });
});

describe('the end of trouble', () => {
  test('makes it as it was before, and is noted', async () => {
    const id = await q.inTrouble('recovering', ', relapses = 2, successes = 9');
    await q.setHealth(id, 'failing_since = null');
    expect(await q.troubles.end(id, 3)).toBe(true);
    expect(await q.health(id)).toEqual({
      mode: 'normal',
      epoch: 3,
      failing_orders: [],
      connection_failures: 0,
      failures: 0,
      is_failing: false,
      successes: 0,
      relapses: 0,
      reason: null,
      send_limit: null,
      is_dated: false,
      is_probed_soon: null,
      throttle: 0,
      throttle_streak: 0,
    });
    expect(await q.changes(id)).toEqual([
      { action: 'trouble_ended', actor: 'evenkeel', reason: null, state: 'enabled' },
    ]);
  });

  test.each([
    ['it fails', 'failures = 1'],
    ['it is still probed', "mode = 'probing'"],
  ])('is refused while %s and anything waits for it', async (_, columns) => {
    const id = await q.inTrouble('recovering');
    const { id: delivery } = await q.add(id, { dueInMs: 600_000 });
    await q.setHealth(id, columns);
    expect(await q.troubles.end(id, 3)).toBe(false);
    expect(await q.changes(id)).toEqual([]);
    await q.query(sql`update deliveries set status = 'dead', cause = 'http_500', settled_at = clock_timestamp()
      where id = ${delivery}`);
    expect(await q.troubles.end(id, 3)).toBe(true);
  });

  test('where nothing is left to be sent forgets no failure: the next one is the next trouble', async () => {
    const id = await q.inTrouble('probing', ", failing_orders = '{a,b,c}', failures = 3");
    expect(await q.troubles.end(id, 3)).toBe(true);
    expect(await q.health(id)).toMatchObject({ mode: 'normal', failing_orders: ['a', 'b', 'c'], failures: 3 });
    const [{ reason } = {}] = await q.query(sql<{ reason?: string }>`select reason from consumer_changes`);
    expect(reason).toBe('nothing is left to be sent');
    await q.add(id);
    expect(await q.settle(failed(await q.only()))).toMatchObject({
      troubled: [{ consumerId: id, epoch: 4, began: true }],
    });
  });

  test('is refused while anything is left behind', async () => {
    const id = await q.inTrouble('recovering');
    const { id: delivery } = await q.add(id, { dueInMs: -60_000 });
    expect(await q.troubles.end(id, 3)).toBe(false);
    await q.query(
      sql`update deliveries set status = 'delivered', settled_at = clock_timestamp() where id = ${delivery}`,
    );
    expect(await q.troubles.end(id, 3)).toBe(true);
  });

  test('comes after a failure that is being written, and so is refused', async () => {
    const id = await q.inTrouble('recovering');
    await q.add(id);
    const failure = failed(await q.only());
    // Holds up the writing of the failure once that holds the health's row.
    const held = sql`lock table attempts in exclusive mode`;
    const { ended, settled } = await q.holding(held, async () => {
      const settling = q.settle(failure);
      await q.waiting(1);
      const ending = q.troubles.end(id, 3);
      await q.waiting(2);
      return { settled: settling, ended: ending };
    });
    expect(await settled).toMatchObject({ late: [] });
    expect(await ended).toBe(false);
    expect(await q.health(id)).toMatchObject({ mode: 'recovering' });
  });

  test('comes before a failure, which then is the first of what may be the next trouble', async () => {
    const id = await q.inTrouble('recovering');
    await pooled([1, 2], 1, () => q.add(id));
    const failures = (await q.claim()).map((one) => failed(one, 'connection_refused'));
    expect(await q.troubles.end(id, 3)).toBe(true);
    expect(await q.settle(...failures)).toMatchObject({ troubled: [{ consumerId: id, epoch: 4, began: true }] });
    expect(await q.health(id)).toMatchObject({ mode: 'probing', epoch: 4, relapses: 0 });
  });

  test('and the failures of many relays leave no trouble without its epoch, whoever comes first', async () => {
    const other = q.another();
    for (let round = 0; round < 10; round += 1) {
      await q.clear();
      const id = await q.inTrouble('recovering');
      await pooled([1, 2], 1, () => q.add(id));
      const failures = (await q.claim()).map((one) => failed(one, 'connection_refused'));
      const [ended, { troubled }] = await Promise.all([q.troubles.end(id, 3), other.queue.settle(failures, 'relay-2')]);
      expect(troubled).toEqual([{ consumerId: id, epoch: ended ? 4 : 3, began: ended }]);
      expect(await q.troubles.inTrouble()).toContainEqual({ consumerId: id, epoch: ended ? 4 : 3 });
    }
  });
});

test.each(['end', 'giveUp'] as const)(
  '%s waits for a person who changes the consumer, and holds nothing',
  async (what) => {
    const id = await q.inTrouble(what === 'end' ? 'recovering' : 'probing');
    await q.add(id, { dueInMs: 600_000 });
    const { done } = await q.holding(sql`select 1 from consumers for update`, async () => {
      const deciding = q.troubles[what](id, 3);
      await q.waiting(1);
      await q.query(sql`select 1 from consumer_health for update nowait`);
      return { done: deciding };
    });
    await done;
    expect(await q.changes(id)).toHaveLength(1);
  },
);

describe('giving up', () => {
  test('disables it with the reason, and keeps what is to be sent', async () => {
    const id = await q.inTrouble('probing');
    await q.add(id);
    await q.troubles.giveUp(id, 3);
    await q.troubles.giveUp(id, 3);
    const reason = 'nothing but failures for over 3 hours: timeout';
    expect(await state(id)).toEqual({ state: 'disabled', state_reason: reason, version: 2 });
    expect(await q.changes(id)).toEqual([{ action: 'gave_up', actor: 'evenkeel', reason, state: 'disabled' }]);
    expect(await q.health(id)).toMatchObject({ mode: 'probing', epoch: 3 });
    expect(await q.query(sql`select status from deliveries`)).toEqual([{ status: 'pending' }]);
  });

  test('does not happen to one that has just worked', async () => {
    const id = await q.inTrouble('probing');
    await q.add(id);
    await q.add(id);
    await q.troubles.probe(id, 3);
    await q.settle(delivered(await q.only()));
    await q.troubles.giveUp(id, 3);
    expect(await state(id)).toMatchObject({ state: 'enabled', version: 1 });
  });

  test('does not happen to one that has nothing to get', async () => {
    const id = await q.inTrouble('probing');
    await q.troubles.giveUp(id, 3);
    expect(await state(id)).toMatchObject({ state: 'enabled', version: 1 });
  });

  test('does not speak over a person who paused it meanwhile', async () => {
    const id = await q.inTrouble('probing', '', { state: 'paused' });
    await q.add(id);
    await q.troubles.giveUp(id, 3);
    expect(await state(id)).toMatchObject({ state: 'paused', version: 1 });
  });
});
