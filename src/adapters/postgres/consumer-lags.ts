import { sql } from 'kysely';
import type { ConsumerLag } from '../../domain/fact-ports.ts';
import type { Queries } from './database.ts';

/** How far behind each consumer is that is not deleted, by PostgreSQL's clock; costs what is pending, not what was. */
export async function readLags(queries: Queries): Promise<readonly ConsumerLag[]> {
  const { rows } = await sql<ConsumerLag>`
    select c.id as "consumerId", c.state, coalesce(h.mode, 'normal') as mode, waiting.pending, waiting."lagMs"
    from consumers c left join consumer_health h on h.consumer_id = c.id, lateral (
      select count(*) as pending,
        coalesce(greatest(0, extract(epoch from clock_timestamp() - min(d.created_at)) * 1000), 0)::float8 as "lagMs"
      from deliveries d where d.consumer_id = c.id and d.status = 'pending'
    ) waiting
    where c.deleted_at is null order by c.id`.execute(queries);
  return rows;
}
