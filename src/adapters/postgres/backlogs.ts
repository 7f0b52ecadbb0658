import { sql } from 'kysely';
import { type Backlog, type Backlogs, MOST_WAITING } from '../../domain/overload-ports.ts';
import type { Database } from './database.ts';

/**
 * What waits for its turn: orders whose workflow is started, to which nothing happened yet, and which came after every
 * order to which something did. Workers take orders as they came, so one that was overtaken waits for something else:
 * for a retry, a provider, or a mended release. Orders without a workflow wait for Temporal.
 */
export function postgresBacklogs(db: Database): Backlogs {
  return {
    read: () =>
      db.read(async (queries) => {
        // Both walk from the newest order to the first that had its turn: few rows unless many wait.
        const { rows } = await sql<Backlog>`
          select count(*)::int as waiting,
            coalesce(greatest(0, extract(epoch from clock_timestamp() - min(started_at)) * 1000), 0)::float8 as "ageMs"
          from (
            select started_at from orders
            where created_at > coalesce((
                select created_at from (
                  select created_at, status, version from orders order by created_at desc, id desc limit ${MOST_WAITING}
                ) newest
                where status <> 'received' or version > 1
                order by created_at desc limit 1
              ), '-infinity')
            order by created_at desc, id desc limit ${MOST_WAITING}
          ) newer
          where started_at is not null`.execute(queries);
        return rows[0] ?? { ageMs: 0, waiting: 0 };
      }),
  };
}
