import { type RawBuilder, sql } from 'kysely';
import { ago } from './database.ts';

/** Events times consumers, at most: with many consumers, fewer of the newest events are looked at. */
const MOST_PAIRS = 50_000;
/** What a consumer wants may have been committed so long after its time; longer than any transaction may last. */
const unsure = sql`interval '30 seconds'`;

/**
 * Selects `subject` and `problem` of events, no older than `withinMs`, that have no delivery for a consumer which was to
 * get them: by what it wants now, and only where it wanted that before. `evenkeel audit events` looks at all others too.
 */
export function undeliveredEvents(withinMs: number): RawBuilder<unknown> {
  return sql`
    select 'event ' || e.id as subject,
      'of order ' || e.order_id || ' has no delivery for consumer ' || w.id as problem
    from (
      select id, order_id, type, at, body from events
      where replaces is null and at > ${ago(withinMs)} order by at desc
      limit (select ${MOST_PAIRS} / greatest(1, count(*)) from consumers where deleted_at is null)
    ) e join (
      select c.id, c.like_types, c.filter, ${unsure} + greatest(c.created_at, (
        select max(g.at) from consumer_changes g where g.consumer_id = c.id and g.action in ('created', 'changed')
      )) as since
      from consumers c where c.deleted_at is null
    ) w on e.at > w.since and e.type like any (w.like_types) and (w.filter is null or e.body::jsonb @> w.filter)
    where not exists (select 1 from deliveries d where d.event_id = e.id and d.consumer_id = w.id)`;
}
