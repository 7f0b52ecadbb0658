import { sql } from 'kysely';
import type { Database } from '../../src/adapters/postgres/database.ts';
import { insertOrder } from './delivery-rows.ts';

/** `count` deliveries of one order's events to a consumer, pending or dead, in one statement. */
export async function insertManyDeliveries(
  db: Database,
  consumerId: string,
  count: number,
  status: 'pending' | 'dead',
): Promise<void> {
  const orderId = await insertOrder(db);
  await db.read((queries) =>
    sql`
      with written as (
        insert into events (id, order_id, sequence, type, at, body)
        select ${orderId} || '-' || n, ${orderId}, n, 'evenkeel.order.created.v1', clock_timestamp(), '{}'
        from generate_series(1, ${count}::int) as n
        returning id, order_id, sequence, at
      )
      insert into deliveries (event_id, consumer_id, order_id, sequence, status, created_at, next_attempt_at, settled_at,
        cause)
      select id, ${consumerId}, order_id, sequence, ${status}, at, at,
        case when ${status}::text = 'dead' then clock_timestamp() end, case when ${status}::text = 'dead' then 'timeout' end
      from written`.execute(queries),
  );
}
