import { sql } from 'kysely';
import { sloNames } from '../../domain/objectives.ts';
import type { SloDay, SloHistory } from '../../domain/slo-ports.ts';
import type { Database } from './database.ts';
import { keptSince } from './slo-counts.ts';

export function postgresSloHistory(db: Database): SloHistory {
  return {
    month: (month) =>
      db.read(async (queries) => {
        const first = sql`${`${month}-01`}::timestamp`;
        // By name too: the key begins with it, and a month is a small part of what is kept.
        const { rows: days } = await sql<SloDay>`
          select slo, to_char(minute at time zone 'UTC', 'YYYY-MM-DD') as day,
            sum(good)::bigint as good, sum(bad)::bigint as bad, sum(excluded)::bigint as excluded
          from slo_minutes
          where slo = any(${[...sloNames]}::text[])
            and minute >= ${first} at time zone 'UTC' and minute < (${first} + interval '1 month') at time zone 'UTC'
          group by slo, day having sum(good + bad + excluded) > 0
          order by day, slo`.execute(queries);
        // Asked afterwards: what is whole now was whole when it was read.
        const { rows } = await sql<{ is_whole: boolean }>`
          select ${first} at time zone 'UTC' >= ${keptSince} as is_whole`.execute(queries);
        return { isWhole: rows[0]?.is_whole === true, days };
      }),
  };
}
