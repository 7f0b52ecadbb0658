import { sql } from 'kysely';
import { ago, type Queries } from './database.ts';

/** Of a consumer's oldest that are due, in each claim; looking at them costs next to nothing. */
const LOOK = 100;
/** Where half of these or more were held back, so many at once. */
const LONG_LOOK = 500;

/**
 * Has later events of an order wait for as long as its first does. What is written after that has failed is due at
 * once, and every claim would read it in vain, thousands of rows where much fails. Resolves with the consumers that have
 * so much of this left that the next claim had better go on with it first. Waits for no lock. To be called by whoever
 * alone claims for these consumers: what waits changes by nothing else than a claim or the end of its consumer.
 */
export async function holdBack(trx: Queries, consumerIds: readonly string[]): Promise<readonly string[]> {
  const many = await holdOldest(trx, consumerIds, LOOK);
  return holdOldest(trx, many, Math.max(LOOK, Math.ceil(LONG_LOOK / Math.max(1, many.length))));
}

/** Resolves with the consumers of whose oldest `most` at least half were held back. */
async function holdOldest(trx: Queries, consumerIds: readonly string[], most: number): Promise<readonly string[]> {
  if (consumerIds.length === 0) return [];
  const { rows } = await sql<{ id: string }>`
    with held as materialized (
      select d.id, head.next_attempt_at as until
      from unnest(${consumerIds}::text[]) as c (id) cross join lateral (
        select id, order_id, sequence, is_late, token from deliveries
        where consumer_id = c.id and status = 'pending' and next_attempt_at <= ${ago(0)}
        order by next_attempt_at limit ${most}
      ) d cross join lateral (
        -- One look into the index: asked for the row itself, PostgreSQL may read the order's whole.
        select min(w.sequence) as sequence from deliveries w
        where w.consumer_id = c.id and w.order_id = d.order_id and w.status = 'pending' and not w.is_late
      ) first join deliveries head on head.consumer_id = c.id and head.order_id = d.order_id
        and head.sequence = first.sequence and head.status = 'pending' and not head.is_late
      where not d.is_late and d.token is null
        and head.sequence < d.sequence and head.token is null and head.next_attempt_at > ${ago(0)}
    ), free as materialized (
      select d.id, held.until from held join deliveries d on d.id = held.id
      where d.status = 'pending' and d.token is null for no key update of d skip locked
    ), moved as (
      update deliveries d set next_attempt_at = free.until from free where d.id = free.id returning d.consumer_id
    )
    select consumer_id as id from moved group by consumer_id having count(*) >= ${most / 2}`.execute(trx);
  return rows.map(({ id }) => id);
}
