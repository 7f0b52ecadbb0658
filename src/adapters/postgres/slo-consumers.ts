import { sql } from 'kysely';
import type { ConsumerSli } from '../../domain/slo-ports.ts';
import { ago, type Queries } from './database.ts';
import { firstDelivered, firstEnd } from './slo-deliveries.ts';
import { calm, catchUps, heldUpWithin } from './slo-hindrance.ts';
import { plus } from './slo-pass.ts';

/** Of the window's deliveries the newest: about a second's reading, also where all of them were late. */
const MOST = 50_000;

/** As `SloRecords.byConsumer` says; `most` is for tests. Each event's deliveries are looked up in turn, so the newest come first. */
export async function readByConsumer(
  queries: Queries,
  windowMs: number,
  thresholdMs: number,
  most = MOST,
): Promise<readonly ConsumerSli[]> {
  const due = plus(sql`e.at`, thresholdMs);
  const { rows } = await sql<ConsumerSli>`
    with lives as materialized (
      select d.consumer_id, e.at, ${due} as due, coalesce(d.is_delivered and d.ended_at <= ${due}, false) as is_good
      from (
        select id, at from events
        where at > ${ago(windowMs)} and at <= ${ago(thresholdMs)} and replaces is null
        order by at desc limit ${most}
      ) e cross join lateral (
        select d.consumer_id, ${firstEnd} as ended_at, ${firstDelivered} as is_delivered
        from deliveries d where d.event_id = e.id offset 0
      ) d
      limit ${most}
    ), spans as materialized (
      select consumer_id, min(at) as since, max(due) as until from lives where not is_good group by 1
    ), catch_ups as materialized (
      ${catchUps(sql`select * from spans`)}
    ), calm as materialized (
      ${calm(sql`select * from spans`)}
    ), judged as materialized (
      select consumer_id, is_good, case when is_good or consumer_id in (select consumer_id from calm) then false
        else ${heldUpWithin(sql`l.consumer_id`, sql`l.at`, sql`l.due`)} end as is_held
      from lives l
    )
    select j.consumer_id as "consumerId", c.name, count(*) filter (where is_good) as good,
      count(*) filter (where not is_good and not is_held) as bad, count(*) filter (where is_held) as excluded
    from judged j join consumers c on c.id = j.consumer_id
    group by j.consumer_id, c.name
    order by count(*) filter (where not is_good and not is_held)::float8
        / nullif(count(*) filter (where not is_held), 0) desc nulls last,
      count(*) desc, c.name, j.consumer_id`.execute(queries);
  return rows;
}
