import { sql } from 'kysely';
import { type ConsumerLag, MOST_PENDING } from '../../domain/fact-ports.ts';
import type { Queries } from './database.ts';

/**
 * How far behind each consumer is that is not deleted, by PostgreSQL's clock. Costs two looks into indexes for each, and
 * reads of a backlog no more than it says.
 */
export async function readLags(queries: Queries): Promise<readonly ConsumerLag[]> {
  const { rows } = await sql<ConsumerLag>`
    select c.id as "consumerId", c.state, coalesce(h.mode, 'normal') as mode, (
        select count(*) from (
          select from deliveries d where d.consumer_id = c.id and d.status = 'pending'
          order by d.next_attempt_at limit ${MOST_PENDING}
        ) waiting
      ) as pending,
      coalesce(greatest(0, extract(epoch from clock_timestamp() - (
        select greatest(d.created_at, c.state_since) from deliveries d
        where c.state = 'enabled' and d.consumer_id = c.id and d.status = 'pending' and not d.is_late
        order by d.created_at limit 1
      )) * 1000), 0)::float8 as "lagMs"
    from consumers c left join consumer_health h on h.consumer_id = c.id
    where c.deleted_at is null order by c.id`.execute(queries);
  return rows;
}
