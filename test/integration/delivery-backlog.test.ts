import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { insertOrder } from '../support/delivery-rows.ts';
import { delivered, failed, newDeliveryQueue } from '../support/settlements.ts';
import { pooled } from '../support/wait.ts';

let q: Awaited<ReturnType<typeof newDeliveryQueue>>;
beforeAll(async () => {
  q = await newDeliveryQueue();
});
beforeEach(() => q.clear());
afterAll(() => q.stop());

/**
 * Pending deliveries of `events` events, due for an hour, to each of these consumers. `orderOf` names the order of the
 * `n`-th, in SQL.
 */
async function backlog(consumerIds: readonly string[], events: number, orderOf: string): Promise<void> {
  const orderId = await insertOrder(q.db);
  await q.query(sql`
    with written as (
      insert into events (id, order_id, sequence, type, at, body)
      select ${orderId} || n, ${orderId}, n, 'evenkeel.order.created.v1', clock_timestamp(), '{}'
      from generate_series(1, ${events}) n returning id, sequence as n
    )
    insert into deliveries (event_id, consumer_id, order_id, sequence, created_at, next_attempt_at)
    select id, consumer_id, ${sql.raw(orderOf)}, n, clock_timestamp(), clock_timestamp() - interval '1 hour'
    from written, unnest(${consumerIds}::text[]) as c (consumer_id)`);
  await q.query(sql`analyze`);
}

/** A relay that counts what it reads, on one connection: its counts are there once it has said so. */
function counting() {
  const { db, claim } = q.another(1);
  const read = async () => {
    await db.read((queries) => sql`select pg_stat_force_next_flush()`.execute(queries));
    const { rows } = await db.read((queries) =>
      sql<{ tuples: number }>`
          select seq_tup_read + (
            select sum(idx_tup_read) from pg_stat_user_indexes where relname = 'deliveries')::bigint as tuples
          from pg_stat_user_tables where relname = 'deliveries'`.execute(queries),
    );
    return rows[0]?.tuples ?? 0;
  };
  return async () => {
    const before = await read();
    const claimed = await claim();
    return { claimed, tuples: (await read()) - before };
  };
}

test('a claim reads no more of a backlog than it takes', async () => {
  const consumers = await pooled([1, 2, 3, 4, 5], 1, () => q.consumer());
  await q.add(await q.consumer());
  await backlog(consumers, 8000, "'o' || n / 5");
  const { claimed, tuples } = await counting()();
  expect(claimed).toHaveLength(41);
  expect(tuples).toBeLessThan(2500);
});

describe('what is due and held back behind a first that waits', () => {
  test('is out of the way after some claims, in which others get theirs', async () => {
    const [id, other] = [await q.consumer(), await q.consumer({ maxInFlight: 100 })];
    await backlog([id], 4000, "'o' || n % 400");
    await q.query(sql`
      update deliveries set attempts = 3, next_attempt_at = clock_timestamp() + interval '6 h' where sequence <= 400`);
    await q.query(sql`analyze`);
    const { id: free } = await q.add(id);
    const claim = counting();
    const took: number[] = [];
    for (let round = 0; round < 10; round += 1) {
      const { id: fresh } = await q.add(other);
      const { claimed } = await claim();
      const ids = claimed.map((one) => one.id);
      expect(ids).toContain(fresh);
      took.push(...ids);
    }
    expect(took).toContain(free);
    expect((await claim()).tuples).toBeLessThan(200);
    const [row] = await q.query(sql`
      select count(*)::int as waiting from deliveries
      where consumer_id = ${id} and next_attempt_at > clock_timestamp() + interval '5 h'`);
    expect(row).toEqual({ waiting: 4000 });
  });

  const order = async (id: string) => {
    const orderId = await insertOrder(q.db);
    const head = await q.add(id, { orderId, sequence: 1, attempts: 1, dueInMs: 3_600_000 });
    return { orderId, head, next: await q.add(id, { orderId, sequence: 2 }) };
  };
  const isDue = async ({ id }: { readonly id: number }) => {
    const [row] = await q.query(
      sql<{ due: boolean }>`select next_attempt_at <= clock_timestamp() as due from deliveries where id = ${id}`,
    );
    return row?.due;
  };

  test('waits as long as that, and is due when that got through', async () => {
    const { head, next } = await order(await q.consumer());
    expect(await q.claim()).toEqual([]);
    const [same] = await q.query(sql`select count(distinct next_attempt_at)::int as times from deliveries`);
    expect(same).toEqual({ times: 1 });
    await q.query(sql`update deliveries set next_attempt_at = clock_timestamp() where id = ${head.id}`);
    await q.settle(delivered(await q.only()));
    expect(await q.only()).toMatchObject({ id: next.id });
  });

  test('stays due while that is under way, or due itself, or another consumer’s', async () => {
    const [id, other] = [await q.consumer({ maxInFlight: 2 }), await q.consumer({ state: 'paused' })];
    const [underWay, due, paused] = [await order(id), await order(id), await order(other)];
    await q.query(sql`update deliveries set next_attempt_at = clock_timestamp() where id = ${underWay.head.id}`);
    const claimed = await q.only();
    await q.query(sql`update deliveries set next_attempt_at = clock_timestamp() where id = ${due.head.id}`);
    await q.query(sql`update consumers set max_in_flight = 1 where id = ${id}`);
    expect(await q.claim()).toEqual([]);
    expect([await isDue(underWay.next), await isDue(paused.next)]).toEqual([true, true]);
    await q.settle(failed(claimed));
    expect(await isDue(underWay.next)).toBe(false);
  });

  test('is sent all the same where it is late, and waits for nobody who holds it', async () => {
    const id = await q.consumer();
    const { orderId, next } = await order(id);
    const late = await q.add(id, { orderId, sequence: 3, isLate: true });
    const lock = sql`select 1 from deliveries where id = ${next.id} for update`;
    const claimed = await q.holding(lock, () => q.claim());
    expect(claimed.map((one) => one.id)).toEqual([late.id]);
    expect(await isDue(next)).toBe(true);
    await q.claim();
    expect(await isDue(next)).toBe(false);
  });
});
