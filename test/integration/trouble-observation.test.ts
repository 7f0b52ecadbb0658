import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { insertOrder } from '../support/delivery-rows.ts';
import { newDeliveryQueue } from '../support/settlements.ts';

let q: Awaited<ReturnType<typeof newDeliveryQueue>>;
beforeAll(async () => {
  q = await newDeliveryQueue();
});
beforeEach(() => q.clear());
afterAll(() => q.stop());

describe('an observation', () => {
  test('says how the trouble is', async () => {
    const id = await q.inTrouble(
      'recovering',
      ", failing_orders = '{a,b}', connection_failures = 1, failures = 3, relapses = 4",
      {
        maxInFlight: 5,
      },
    );
    const { failingForMs, failedMsAgo, ...seen } = await q.troubles.observe(id, 3);
    expect(seen).toEqual({
      isCurrent: true,
      state: 'enabled',
      mode: 'recovering',
      successes: 0,
      failures: 3,
      relapses: 4,
      sendLimit: 2,
      maxInFlight: 5,
      leftBehind: 0,
      hasPending: false,
    });
    expect((failingForMs ?? 0) / 3_600_000).toBeCloseTo(3, 1);
    expect((failedMsAgo ?? 0) / 60_000).toBeCloseTo(1, 0);
  });

  test('says where it does not fail, or never did, and where something is to be sent', async () => {
    const id = await q.inTrouble('recovering');
    await q.setHealth(id, 'failing_since = null, failed_at = null');
    await q.add(id, { dueInMs: 3_600_000 });
    expect(await q.troubles.observe(id, 3)).toMatchObject({ failingForMs: null, failedMsAgo: null, hasPending: true });
  });

  test('counts from when a person enabled it, if that was later', async () => {
    const id = await q.inTrouble('probing');
    await q.query(sql`update consumers set state_since = clock_timestamp() - interval '1 hour'`);
    expect(((await q.troubles.observe(id, 3)).failingForMs ?? 0) / 3_600_000).toBeCloseTo(1, 1);
  });

  test('is of no present trouble where the epoch is another, it is over, or nobody is there', async () => {
    const id = await q.inTrouble('probing');
    expect((await q.troubles.observe(id, 2)).isCurrent).toBe(false);
    expect((await q.troubles.observe('nobody', 1)).isCurrent).toBe(false);
    await q.query(sql`update consumers set deleted_at = clock_timestamp()`);
    expect((await q.troubles.observe(id, 3)).isCurrent).toBe(false);
    const well = await q.consumer();
    expect((await q.troubles.observe(well, 0)).isCurrent).toBe(false);
  });

  test('counts what is due for long, not what waits or has come just now', async () => {
    const id = await q.inTrouble('recovering');
    const orderId = await insertOrder(q.db);
    await q.add(id, { dueInMs: -60_000 });
    await q.add(id, { dueInMs: 600_000 });
    await q.add(id, { dueInMs: -1 });
    await q.add(id, { status: 'dead', dueInMs: -60_000 });
    await q.add(await q.consumer(), { dueInMs: -60_000 });
    expect(await q.troubles.observe(id, 3)).toMatchObject({ leftBehind: 1 });

    // Behind a first that waits its own time, which may be hours, unless it is a late one.
    await q.add(id, { orderId, dueInMs: 3_600_000 });
    await q.add(id, { orderId, sequence: 2, dueInMs: -60_000 });
    expect(await q.troubles.observe(id, 3)).toMatchObject({ leftBehind: 1 });
    await q.add(id, { orderId, sequence: 3, isLate: true, dueInMs: -60_000 });
    expect(await q.troubles.observe(id, 3)).toMatchObject({ leftBehind: 2 });
  });

  test('takes what is behind one under way for left behind', async () => {
    const id = await q.inTrouble('recovering');
    const first = await q.add(id, { dueInMs: -60_000 });
    await q.add(id, { orderId: first.orderId, sequence: 2, dueInMs: -60_000 });
    await q.only();
    expect(await q.troubles.observe(id, 3)).toMatchObject({ leftBehind: 1 });
  });

  test('does not count further than it matters', async () => {
    const id = await q.inTrouble('recovering');
    const { eventId } = await q.add(id);
    await q.query(sql`alter table deliveries drop constraint deliveries_event_id_consumer_id_key`);
    await q.query(sql`
      insert into deliveries (event_id, consumer_id, order_id, sequence, created_at, next_attempt_at)
      select ${eventId}, ${id}, 'o' || n, 1, clock_timestamp(), clock_timestamp() - interval '1 hour'
      from generate_series(1, 1500) n`);
    expect(await q.troubles.observe(id, 3)).toMatchObject({ leftBehind: 1000 });
  });
});
