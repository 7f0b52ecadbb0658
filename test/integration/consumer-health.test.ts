import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { delivered, failed, newDeliveryQueue, settlement } from '../support/settlements.ts';
import { pooled } from '../support/wait.ts';

let q: Awaited<ReturnType<typeof newDeliveryQueue>>;
beforeAll(async () => {
  q = await newDeliveryQueue();
});
beforeEach(() => q.clear());
afterAll(() => q.stop());

const rows = () =>
  q.query(sql<{ status: string; token: string | null }>`select status, token from deliveries order by id`);

/** A consumer with this many deliveries under way, each of its own order. */
async function underWay(count: number) {
  const id = await q.consumer({ maxInFlight: 1000 });
  await pooled(Array.from({ length: count }), 4, () => q.add(id));
  return { id, claimed: await q.claim() };
}

describe('a consumer’s health', () => {
  test('is not touched by the successes of one that is well', async () => {
    const { id, claimed } = await underWay(5);
    const version = () =>
      q.query(sql`select xmin::text, ctid::text, xmax::text from consumer_health where consumer_id = ${id}`);
    const before = await version();
    await q.settle(...claimed.map(delivered));
    expect(await version()).toEqual(before);
  });

  test('forgets the failures of the past with a success', async () => {
    const { id, claimed } = await underWay(2);
    await q.settle(...claimed.map((one) => failed(one)));
    expect(await q.health(id)).toMatchObject({ mode: 'normal', reason: 'http_500' });
    expect((await q.health(id))?.['failing_orders']).toHaveLength(2);
    await q.add(id);
    await q.settle(delivered(await q.only()));
    expect(await q.health(id)).toMatchObject({ mode: 'normal', failing_orders: [], failures: 0, reason: null });
    expect(await q.changes(id)).toEqual([]);
  });

  test('becomes trouble once with failures of several orders, whoever sees them', async () => {
    const { id, claimed } = await underWay(6);
    const relays = [q, q.another()];
    const settled = await Promise.all(
      relays.map(({ queue }, index) =>
        queue.settle(
          claimed.filter((_, at) => at % 2 === index).map((one) => failed(one)),
          `relay-${index}`,
        ),
      ),
    );
    expect(settled.flatMap(({ troubled }) => troubled).filter(({ began }) => began)).toEqual([
      { consumerId: id, epoch: 1, began: true },
    ]);
    expect(await q.health(id)).toMatchObject({
      mode: 'probing',
      epoch: 1,
      reason: 'http_500',
      is_dated: true,
      is_probed_soon: true,
    });
    expect(await q.changes(id)).toEqual([
      { action: 'trouble_began', actor: 'evenkeel', reason: 'http_500', state: 'enabled' },
    ]);
  });

  test('is heard in the order in which attempts ended, of the whole batch', async () => {
    const { id, claimed } = await underWay(4);
    const now = Date.now();
    const outcomes = claimed.map((one, index) => {
      const startedAt = new Date(now + index);
      return index === 2 ? settlement(one, { startedAt }) : failed(one, 'http_500', { startedAt });
    });
    await q.settle(...outcomes.toReversed());
    expect(await q.health(id)).toMatchObject({ mode: 'normal', failing_orders: [claimed[3]?.orderId] });
  });

  test('becomes trouble by one order that fails again and again, where nothing else is sent', async () => {
    const id = await q.consumer();
    await q.add(id);
    const found = [];
    for (let time = 1; time <= 6; time += 1) {
      await q.query(sql`update deliveries set next_attempt_at = clock_timestamp(), strikes = 0`);
      await q.settle(failed(await q.only()));
      found.push((await q.health(id))['mode']);
    }
    expect(found).toEqual([...Array<string>(5).fill('normal'), 'probing']);
  });

  describe('since when it fails', () => {
    const hoursAgo = (hours: number) => sql`clock_timestamp() - ${hours} * interval '1 hour'`;
    const again = async (id: string, how: typeof failed | typeof delivered = failed) => {
      await q.query(sql`update deliveries set next_attempt_at = clock_timestamp()`);
      await q.query(sql`update consumer_health set next_probe_at = clock_timestamp()`);
      if ((await rows()).every(({ status }) => status !== 'pending')) await q.add(id);
      await q.settle(how(await q.only()));
      const [{ hours } = { hours: null }] = await q.query(sql<{ hours: number | null }>`
        select round(extract(epoch from clock_timestamp() - failing_since) / 3600)::int as hours from consumer_health`);
      return hours;
    };
    const longAgo = (since: number, last: number) =>
      q.query(sql`update consumer_health set failing_since = ${hoursAgo(since)}, failed_at = ${hoursAgo(last)}`);

    test('is known from the first failure to the next success', async () => {
      const id = await q.consumer();
      expect(await again(id)).toBe(0);
      await longAgo(30, 1);
      expect(await again(id)).toBe(30);
      expect(await again(id, delivered)).toBeNull();
      expect(await again(id)).toBe(0);
    });

    test('begins anew after a success of the same batch', async () => {
      const id = await q.consumer();
      await again(id);
      await q.query(sql`truncate deliveries cascade`);
      await longAgo(30, 1);
      await q.add(id);
      await q.add(id);
      const [one, other] = await q.claim();
      if (one === undefined || other === undefined) throw new Error('two were due');
      const now = Date.now();
      const works = settlement(one, { startedAt: new Date(now) });
      await q.settle(works, failed(other, 'http_500', { startedAt: new Date(now + 1) }));
      const [found] = await q.query(sql<{ fresh: boolean }>`
        select failing_since > ${hoursAgo(1)} as fresh from consumer_health`);
      expect(found).toEqual({ fresh: true });
    });

    test('begins anew after hours in which nothing was tried, and is kept up by every failure', async () => {
      const id = await q.consumer();
      await q.setHealth(id, "mode = 'probing', epoch = 1, failing_orders = '{a,b,c}', failures = 6");
      await longAgo(90, 20);
      expect(await again(id)).toBe(0);
      await longAgo(90, 1);
      // Nothing else of its health is changed by these.
      expect(await again(id)).toBe(90);
      expect(await q.query(sql`select failed_at > ${hoursAgo(0.5)} as fresh from consumer_health`)).toEqual([
        { fresh: true },
      ]);
    });
  });

  test('is back in the same trouble when it fails while it recovers', async () => {
    const id = await q.consumer();
    await q.setHealth(id, "mode = 'recovering', epoch = 4, send_limit = 8, trouble_since = clock_timestamp()");
    await q.add(id);
    await q.add(id);
    const outcomes = (await q.claim()).map((one) => failed(one, 'connection_refused'));
    const settled = await q.settle(...outcomes);
    expect(settled.troubled).toEqual([{ consumerId: id, epoch: 4, began: false }]);
    expect(await q.health(id)).toMatchObject({ mode: 'probing', epoch: 4, send_limit: null, is_probed_soon: true });
    expect(await q.changes(id)).toEqual([]);
  });
});

describe('a consumer that is overloaded', () => {
  const throttled = async (id: string, result: Parameters<typeof failed>[2] = {}) => {
    await q.setHealth(
      id,
      "throttled_until = clock_timestamp() - interval '1 second', mode = 'normal', failing_orders = '{}', failures = 0",
    );
    await q.add(id);
    await q.settle(failed(await q.only(), 'http_429', { status: 429, ...result }));
    return q.health(id);
  };

  test('waits as long as it asks, and longer each time where it says nothing', async () => {
    const id = await q.consumer();
    const found = [];
    for (let time = 0; time < 6; time += 1) found.push(await throttled(id));
    expect(found).toMatchObject([15, 30, 60, 120, 240, 300].map((throttle) => ({ mode: 'normal', throttle })));
    expect(await throttled(id, { retryAfterMs: 45_000 })).toMatchObject({ throttle: 45, throttle_streak: 7 });
    await q.setHealth(id, 'throttled_until = null');
    await q.add(id);
    await q.settle(delivered(await q.only()));
    expect(await throttled(id)).toMatchObject({ throttle: 15, throttle_streak: 1 });
  });

  test('is heard once, however many were under way, and is in trouble if it takes none', async () => {
    const { id, claimed } = await underWay(4);
    for (const one of claimed.slice(0, 2)) await q.settle(failed(one, 'http_429'));
    expect(await q.health(id)).toMatchObject({ mode: 'normal', throttle: 15, throttle_streak: 1 });
    for (const one of claimed.slice(2)) await q.settle(failed(one, 'http_429'));
    expect(await q.health(id)).toMatchObject({ mode: 'probing', throttle: 15, throttle_streak: 1 });
  });

  test('with one event alone, for ever, makes that one a dead letter, and the others wait no more', async () => {
    const id = await q.consumer();
    const poison = await q.add(id);
    const found = [];
    for (let round = 0; round < 4; round += 1) {
      await q.query(sql`update deliveries set next_attempt_at = clock_timestamp() where status = 'pending'`);
      await q.setHealth(id, 'throttled_until = null');
      await q.settle(failed(await q.only(), 'http_429', { retryAfterMs: 45_000 }));
      const [row] = await q.query(sql<{ strikes: number }>`
        select strikes, status from deliveries where id = ${poison.id}`);
      found.push({ ...row, throttle: (await q.health(id))['throttle'] });
      await q.setHealth(id, 'throttled_until = null');
      await q.add(id);
      await q.settle(delivered(await q.only()));
    }
    expect(found).toEqual([
      { strikes: 0, status: 'pending', throttle: 45 },
      { strikes: 1, status: 'pending', throttle: 45 },
      { strikes: 2, status: 'pending', throttle: 0 },
      { strikes: 3, status: 'dead', throttle: 0 },
    ]);
  });

  test('never waits for less because another answer asks for less', async () => {
    const { id, claimed } = await underWay(2);
    const [long, short] = claimed;
    if (long === undefined || short === undefined) throw new Error('two were due');
    await q.settle(failed(long, 'http_503', { retryAfterMs: 60_000 }));
    await q.settle(failed(short, 'http_503', { retryAfterMs: 1000 }));
    expect(await q.health(id)).toMatchObject({ throttle: 60 });
  });
});

test('410 disables a consumer, once, and its delivery is kept', async () => {
  const { id, claimed } = await underWay(3);
  const [one, two, three] = claimed;
  if (one === undefined || two === undefined || three === undefined) throw new Error('three were due');
  const settled = await Promise.all([
    q.settle(failed(one, 'http_410'), failed(two, 'http_410')),
    q.another().queue.settle([failed(three, 'http_410')], 'relay-2'),
  ]);
  expect(settled.flatMap(({ disabled }) => disabled)).toEqual([id]);
  const [found] = await q.query(sql`select state, state_reason, version from consumers`);
  expect(found).toEqual({ state: 'disabled', state_reason: 'answered 410 Gone', version: 2 });
  expect(await q.changes(id)).toEqual([
    { action: 'disabled', actor: 'evenkeel', reason: 'answered 410 Gone', state: 'disabled' },
  ]);
  expect(await rows()).toMatchObject([{ status: 'pending' }, { status: 'pending' }, { status: 'pending' }]);
  expect(await q.claim()).toEqual([]);
});

test('relays that settle at once, whatever the order of what they have, never wait for each other', async () => {
  const consumers = await Promise.all(Array.from({ length: 4 }, () => q.consumer({ maxInFlight: 1000 })));
  const relays = [q, q.another(), q.another()];
  const causes = ['http_500', 'http_410', 'connection_refused', 'http_429'] as const;
  for (let round = 0; round < 8; round += 1) {
    await q.query(sql`update consumers set state = 'enabled'`);
    await q.query(sql`update consumer_health set mode = 'normal', failures = 0, throttled_until = null`);
    for (const id of consumers) await pooled(Array.from({ length: 6 }), 4, () => q.add(id));
    const claimed = (await q.claim(200)).toSorted(() => Math.random() - 0.5);
    await Promise.all(
      relays.map(({ queue }, lane) => {
        const mine = claimed.filter((_, index) => index % relays.length === lane);
        return queue.settle(
          mine.map((one, index) => (index % 5 === 4 ? delivered(one) : failed(one, causes[index % 4]))),
          'r',
        );
      }),
    );
    expect((await rows()).filter(({ token }) => token !== null)).toEqual([]);
  }
});

test('who settles takes consumers in the order of their ids: whoever waits holds no later one', async () => {
  const consumers = (await pooled([1, 2, 3], 1, () => q.consumer())).toSorted();
  for (const id of consumers.toReversed()) await q.add(id);
  const failures = (await q.claim()).map((one) => failed(one));
  const byConsumer = failures.toSorted((a, b) =>
    a.delivery.destination.consumerId < b.delivery.destination.consumerId ? 1 : -1,
  );
  const { settled } = await q.holding(
    sql`select 1 from consumer_health where consumer_id = ${consumers[0]} for update`,
    async () => {
      const settling = q.settle(...byConsumer);
      await q.waiting(1);
      await q.query(sql`select 1 from consumer_health where consumer_id <> ${consumers[0]} for update nowait`);
      return { settled: settling };
    },
  );
  expect(await settled).toMatchObject({ late: [], missed: [] });
});
