import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newDeliveryQueue } from '../support/settlements.ts';
import { pooled } from '../support/wait.ts';

let q: Awaited<ReturnType<typeof newDeliveryQueue>>;
beforeAll(async () => {
  q = await newDeliveryQueue();
});
afterAll(() => q.stop());

test('a claim reads no more of a backlog than it takes', async () => {
  const consumers = await pooled([1, 2, 3, 4, 5], 1, () => q.consumer());
  const { orderId } = await q.add(await q.consumer());
  await q.query(sql`
      with written as (
        insert into events (id, order_id, sequence, type, at, body)
        select 'backlog-' || n, ${orderId}, 1 + n, 'evenkeel.order.created.v1', clock_timestamp(), '{}'
        from generate_series(1, 8000) n returning id, sequence
      )
      insert into deliveries (event_id, consumer_id, order_id, sequence, created_at, next_attempt_at)
      select id, consumer_id, 'o' || sequence / 5, sequence, clock_timestamp(), clock_timestamp() - interval '1 hour'
      from written, unnest(${consumers}::text[]) as c (consumer_id)`);
  await q.query(sql`analyze`);
  // One connection: its counts are there once it has said so.
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
  const before = await read();
  expect(await claim()).toHaveLength(41);
  expect((await read()) - before).toBeLessThan(2000);
});
