import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ClaimedDelivery } from '../../src/domain/delivery-ports.ts';
import { type DeliveryRow, insertOrder } from '../support/delivery-rows.ts';
import { delivered, failed, newDeliveryQueue } from '../support/settlements.ts';
import { pooled } from '../support/wait.ts';

let q: Awaited<ReturnType<typeof newDeliveryQueue>>;
beforeAll(async () => {
  q = await newDeliveryQueue();
});
beforeEach(() => q.clear());
afterAll(() => q.stop());

const many = (consumerId: string, count: number, row?: (index: number) => DeliveryRow) =>
  pooled(Array.from({ length: count }), 4, (_, index) => q.add(consumerId, row?.(index)));
const ids = (deliveries: readonly { readonly id: number }[]) => deliveries.map(({ id }) => id);
const sorted = (deliveries: readonly { readonly id: number }[]) => ids(deliveries).toSorted((a, b) => a - b);
const consumersOf = (deliveries: readonly ClaimedDelivery[]) =>
  deliveries.map(({ destination }) => destination.consumerId);

/** `count` events of one order, all due, the first one for the longest. */
async function order(consumerId: string, count: number, row: DeliveryRow = {}) {
  const orderId = await insertOrder(q.db);
  const written = [];
  for (let sequence = 1; sequence <= count; sequence += 1) {
    written.push(await q.add(consumerId, { dueInMs: -1000 * (count - sequence + 1), ...row, orderId, sequence }));
  }
  return written;
}

describe('a claim', () => {
  test('brings all that a sender needs, the former secret only while that is valid', async () => {
    const target = { kind: 'amqp', exchange: 'x', routingKey: 'k' } as const;
    const id = await q.consumer({ target, secret: 'whsec_new', formerSecret: 'whsec_old' });
    const written = await q.add(id, { strikes: 2, sequence: 7, data: { a: 1 } });
    const [claimed] = await q.claim();
    const [event] = await q.query(sql<{ body: string }>`select body from events where id = ${written.eventId}`);
    expect(claimed).toEqual({
      ...written,
      ...event,
      token: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      type: 'evenkeel.order.created.v1',
      strikes: 2,
      destination: { consumerId: id, target, secrets: ['whsec_new', 'whsec_old'] },
      mode: 'normal',
      isWatched: false,
      workedSince: false,
    });
    await q.query(sql`update consumers set former_secret_until = clock_timestamp()`);
    await q.add(id);
    expect((await q.claim())[0]?.destination.secrets).toEqual(['whsec_new']);
  });

  test('is the relay’s alone until its lease ends, and another’s after that', async () => {
    const { id } = await q.add(await q.consumer());
    const [first] = await q.claim();
    expect(await q.claim()).toEqual([]);
    await q.leaseOver();
    const [second] = await q.claim();
    expect([first?.id, second?.id]).toEqual([id, id]);
    expect(second?.token).not.toBe(first?.token);
    const [row] = await q.query(sql`
      select attempts, first_attempt_at <= clock_timestamp() as began,
        next_attempt_at between clock_timestamp() + interval '50 s' and clock_timestamp() + interval '60 s' as leased
      from deliveries`);
    expect(row).toEqual({ attempts: 2, began: true, leased: true });
  });

  test('takes the oldest first, and nothing before its time', async () => {
    const id = await q.consumer();
    const [late, soon, old] = [-1000, 60_000, -9000].map((dueInMs) => q.add(id, { dueInMs }));
    await Promise.all([late, soon, old]);
    expect(ids(await q.claim())).toEqual([(await old)?.id, (await late)?.id]);
  });

  test.each(['paused', 'disabled', 'deleted', 'throttled'])('takes nothing of a consumer that is %s', async (how) => {
    const id = await q.consumer(how === 'paused' || how === 'disabled' ? { state: how } : {});
    await q.add(id);
    if (how === 'deleted') await q.query(sql`update consumers set deleted_at = clock_timestamp()`);
    if (how === 'throttled') await q.setHealth(id, "throttled_until = clock_timestamp() + interval '1 minute'");
    expect(await q.claim()).toEqual([]);
  });

  test('takes what waited for the end of a throttle that is over', async () => {
    const id = await q.consumer();
    await q.add(id);
    await q.setHealth(id, "throttled_until = clock_timestamp() - interval '1 second', throttle_streak = 1");
    expect(await q.claim()).toMatchObject([{ isWatched: true }]);
  });

  test('says whether a success would be news', async () => {
    const id = await q.consumer();
    await many(id, 2);
    const [first] = await q.claim(1);
    await q.setHealth(id, "failing_orders = '{o1}', failures = 1");
    const [second] = await q.claim(1);
    expect([first?.isWatched, second?.isWatched]).toEqual([false, true]);
  });

  test('says whether the consumer took something else since the last attempt', async () => {
    const [id, other] = [await q.consumer(), await q.consumer()];
    const { id: failing } = await q.add(id);
    const again = async () => {
      await q.query(sql`update deliveries set next_attempt_at = now(), strikes = 0 where id = ${failing}`);
      const claimed = await q.claim();
      const [own, ...others] = claimed.toSorted((one, another) => one.id - another.id);
      if (own === undefined) throw new Error('it was not due');
      await q.settle(...others.map(delivered));
      await q.settle(failed(own));
      return own.workedSince;
    };
    await q.add(id);
    expect(await again()).toBe(false);
    await q.add(other);
    expect(await again()).toBe(false);
    const settled = delivered(await q.add(id).then(() => q.only()));
    await q.settle(settled);
    expect(await again()).toBe(true);
    expect(await again()).toBe(false);
  });
});

describe('an order', () => {
  test('is sent in its sequence, one event at a time, each consumer by itself', async () => {
    const [one, other] = [await q.consumer(), await q.consumer()];
    const [first, second] = await order(one, 2);
    const elsewhere = await q.add(other, { orderId: second?.orderId ?? '', sequence: 3 });
    const [claimed, ...more] = (await q.claim()).toSorted((a, b) => a.id - b.id);
    expect([claimed?.id, ...ids(more)]).toEqual([first?.id, elsewhere.id]);
    if (claimed === undefined) return;
    expect(await q.claim()).toEqual([]);
    await q.settle(delivered(claimed));
    expect(ids(await q.claim())).toEqual([second?.id]);
  });

  test('waits while its first waits, and nothing else does', async () => {
    const id = await q.consumer();
    const [head] = await order(id, 3);
    const another = await q.add(id);
    await q.query(
      sql`update deliveries set next_attempt_at = clock_timestamp() + interval '1 h' where id = ${head?.id}`,
    );
    expect(ids(await q.claim())).toEqual([another.id]);
  });

  test('goes on after a dead letter, and a late event neither waits nor holds back', async () => {
    const id = await q.consumer();
    const orderId = await insertOrder(q.db);
    await q.add(id, { orderId, sequence: 1, status: 'dead' });
    const late = await q.add(id, { orderId, sequence: 2, isLate: true });
    const next = await q.add(id, { orderId, sequence: 3 });
    const lateBehind = await q.add(id, { orderId, sequence: 4, isLate: true });
    expect(sorted(await q.claim())).toEqual([late.id, next.id, lateBehind.id]);
  });
});

describe('several relays', () => {
  test('never take the same delivery, nor more of a consumer at a time than it bears', async () => {
    const consumers = [await q.consumer({ maxInFlight: 3 }), await q.consumer({ maxInFlight: 7 })];
    for (const id of consumers) await many(id, 40);
    const relays = [q, q.another(), q.another()];
    const taken: ClaimedDelivery[] = [];
    for (let round = 0; round < 30; round += 1) {
      const claims = await Promise.all(relays.map(({ claim }) => claim(4)));
      taken.push(...claims.flat());
      const underWay = await q.query(sql<{ n: number; max: number }>`
        select count(*) as n, max_in_flight as max from deliveries d join consumers c on c.id = d.consumer_id
        where token is not null group by c.id`);
      for (const { n, max } of underWay) expect(n).toBeLessThanOrEqual(max);
      await Promise.all(claims.map((claim) => q.settle(...claim.filter((_, index) => index % 2 === 0).map(delivered))));
    }
    expect(new Set(ids(taken)).size).toBe(taken.length);
    expect(taken.length).toBeGreaterThan(30);
  });

  test('leave a consumer to the one that claims for it just now', async () => {
    const [busy, free] = [await q.consumer(), await q.consumer()];
    await q.add(busy);
    const { id } = await q.add(free);
    const lock = sql`select pg_advisory_xact_lock(hashtextextended('evenkeel.claim:' || ${busy}, 0))`;
    expect(ids(await q.holding(lock, () => q.claim()))).toEqual([id]);
    expect(consumersOf(await q.claim())).toEqual([busy]);
  });

  test('wait for nobody: a probe is left to the next round while its consumer’s health is written', async () => {
    const id = await q.consumer();
    await q.add(id);
    await q.setHealth(id, "mode = 'probing', next_probe_at = clock_timestamp() - interval '1 s'");
    expect(await q.holding(sql`select 1 from consumer_health for update`, () => q.claim())).toEqual([]);
    expect(await q.claim()).toHaveLength(1);
  });

  test('wait for nobody: what another holds is passed over', async () => {
    const id = await q.consumer();
    const [held, free] = [await q.add(id), await q.add(id)];
    const lock = sql`select 1 from deliveries where id = ${held.id} for update`;
    expect(ids(await q.holding(lock, () => q.claim()))).toEqual([free.id]);
  });
});

describe('a consumer that is probed', () => {
  const probed = async (columns = '') => {
    const id = await q.consumer();
    await q.setHealth(
      id,
      `mode = 'probing', epoch = 1, next_probe_at = clock_timestamp() - interval '1 ms' ${columns}`,
    );
    return id;
  };

  test('gets exactly one, and another only after a minute or when its workflow says so', async () => {
    const id = await probed();
    await many(id, 5);
    const [one, ...more] = (await Promise.all([q.claim(), q.another().claim(), q.another().claim()])).flat();
    expect(more).toEqual([]);
    expect(one).toMatchObject({ mode: 'probing', isWatched: true });
    expect(await q.claim()).toEqual([]);
    const [due] = await q.query(sql`
      select next_probe_at between clock_timestamp() + interval '50 s' and clock_timestamp() + interval '60 s' as soon
      from consumer_health`);
    expect(due).toEqual({ soon: true });
    await q.troubles.probe(id, 1);
    expect(await q.claim()).toEqual([]);
    if (one !== undefined) await q.settle(failed(one));
    expect(await q.claim()).toHaveLength(1);
  });

  test('gets the first of an order, though its own wait is not over', async () => {
    const id = await probed();
    const [head] = await order(id, 3, { dueInMs: 3_600_000 });
    expect(ids(await q.claim())).toEqual([head?.id]);
  });

  test('gets another order’s than the last time', async () => {
    const id = await probed();
    const orders = [await order(id, 2), await order(id, 2), await order(id, 2)];
    const tried: string[] = [];
    for (const _ of orders) {
      const [probe] = await q.claim();
      if (probe === undefined) throw new Error('nothing went out');
      tried.push(probe.orderId);
      await q.settle(failed(probe));
      await q.troubles.probe(id, 1);
    }
    expect(tried.toSorted()).toEqual(orders.map(([head]) => head?.orderId).toSorted());
  });

  test('waits for the end of a throttle, and of what was under way when trouble began', async () => {
    const id = await q.consumer();
    await many(id, 2);
    await q.claim(1);
    await q.setHealth(id, "mode = 'probing', next_probe_at = clock_timestamp()");
    expect(await q.claim()).toEqual([]);
    await q.leaseOver();
    await q.setHealth(id, "throttled_until = clock_timestamp() + interval '1 minute'");
    expect(await q.claim()).toEqual([]);
    await q.setHealth(id, 'throttled_until = null');
    expect(await q.claim()).toHaveLength(1);
  });

  test('counts within the limit, and leaves the rest of it to the healthy ones', async () => {
    await q.add(await probed());
    const healthy = await q.consumer();
    await many(healthy, 5);
    const claimed = consumersOf(await q.claim(4));
    expect(claimed.filter((id) => id === healthy)).toHaveLength(3);
    expect(claimed).toHaveLength(4);
  });
});

test('one that recovers gets what it is opened for, and no more than it bears', async () => {
  const id = await q.consumer({ maxInFlight: 4 });
  await many(id, 10);
  await q.setHealth(id, "mode = 'recovering', send_limit = 2");
  expect(await q.claim()).toHaveLength(2);
  expect(await q.claim()).toEqual([]);
  await q.setHealth(id, 'send_limit = 100');
  expect(await q.claim()).toHaveLength(2);
});

test.each(['now', 'a month ago'])('what is pending for a consumer deleted %s becomes a dead letter', async (when) => {
  const [deleted, other] = [await q.consumer(), await q.consumer()];
  const days = when === 'now' ? 0 : 30;
  await q.query(sql`
    update consumers set deleted_at = clock_timestamp() - ${days} * interval '1 day' where id = ${deleted}`);
  await many(deleted, 3, (index) => ({ dueInMs: index * 60_000 }));
  const { id } = await q.add(other);
  expect(ids(await q.claim())).toEqual([id]);
  const rows = await q.query(sql`
    select distinct status, cause, settled_at <= clock_timestamp() as settled, token
    from deliveries where consumer_id = ${deleted}`);
  expect(rows).toEqual([{ status: 'dead', cause: 'consumer_deleted', settled: true, token: null }]);
});
