import { sql } from 'kysely';
import { sloNames } from '../../domain/objectives.ts';
import type { SloDay, SloHistory } from '../../domain/slo-ports.ts';
import type { Database } from './database.ts';

export function postgresSloHistory(db: Database): SloHistory {
  return {
    days: (month) =>
      db.read(async (queries) => {
        const first = sql`${`${month}-01`}::timestamp`;
        // By name too: the key begins with it, and a month is a small part of what is kept.
        const { rows } = await sql<SloDay>`
          select slo, to_char(minute at time zone 'UTC', 'YYYY-MM-DD') as day,
            sum(good)::bigint as good, sum(bad)::bigint as bad, sum(excluded)::bigint as excluded
          from slo_minutes
          where slo = any(${[...sloNames]}::text[])
            and minute >= ${first} at time zone 'UTC' and minute < (${first} + interval '1 month') at time zone 'UTC'
          group by slo, day having sum(good + bad + excluded) > 0
          order by day, slo`.execute(queries);
        return rows;
      }),
  };
}
