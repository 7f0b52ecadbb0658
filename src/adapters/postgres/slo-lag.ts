import { type RawBuilder, sql } from 'kysely';
import type { Thresholds } from '../../domain/objectives.ts';
import type { Queries } from './database.ts';
import { heldAt } from './slo-hindrance.ts';
import type { Horizon } from './slo-pass.ts';

type Sql = RawBuilder<unknown>;

const MINUTE_MS = 60_000;
/** What happened since a minute's end is undone by looking at the attempts since; later than that, nobody measured. */
const MEASURED_WITHIN_MS = MINUTE_MS;
/** An attempt that ended after the minute began no earlier than so long before: see slo-hindrance.ts. */
const LONGEST_ATTEMPT = sql.raw(`interval '65 seconds'`);
const LONGEST_GAP_MS = 30 * 24 * 60 * MINUTE_MS;
/** Consumers times minutes of a gap in one round: about a tenth of a second. */
const LARGEST_GAP = 10_000;

/** Ends of minutes, from `first` to `last`, that are judged in one round. */
export interface LagMinutes {
  readonly first: Date;
  readonly last: Date;
  /** Whether `last` is measured; all others are not. */
  readonly isMeasured: boolean;
  readonly more: boolean;
}

/** The minutes that are over and not judged; undefined if there are none. */
export async function nextMinutes(trx: Queries, after: Date, horizon: Horizon): Promise<LagMinutes | undefined> {
  const since = Math.max(after.getTime(), horizon.at.getTime() - LONGEST_GAP_MS);
  const first = Math.floor(since / MINUTE_MS) * MINUTE_MS + MINUTE_MS;
  const last = Math.floor(horizon.at.getTime() / MINUTE_MS) * MINUTE_MS;
  if (first > last) return undefined;
  const isMeasured = horizon.now.getTime() - last <= MEASURED_WITHIN_MS;
  const gap = (last - first) / MINUTE_MS + (isMeasured ? 0 : 1);
  const most = gap === 0 ? 0 : Math.max(1, Math.floor(LARGEST_GAP / (await countConsumers(trx))));
  if (gap <= most) return { first: new Date(first), last: new Date(last), isMeasured, more: false };
  return { first: new Date(first), last: new Date(first + (most - 1) * MINUTE_MS), isMeasured: false, more: true };
}

async function countConsumers(trx: Queries): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*) from consumers where deleted_at is null`.execute(trx);
  return Math.max(1, rows[0]?.count ?? 0);
}

/**
 * Each consumer that was there at a minute's end, once for that minute: as it was then, and by what it had got by then.
 * A minute that nobody measured is bad.
 */
export function lagVerdicts({ first, last, isMeasured }: LagMinutes, thresholds: Thresholds): Sql {
  const lagging = isLagging(last, thresholds['consumer-lag']);
  return sql`
    select 'consumer-lag' as slo, m.until - interval '1 millisecond' as due, case
        when coalesce(${heldAt(sql`c.id`, sql`m.until`)}, c.state <> 'enabled') then 'excluded'
        when ${isMeasured} and m.until = ${last} then case when ${lagging} then 'bad' else 'good' end
        else 'bad' end as verdict
    from generate_series(${first}::timestamptz, ${last}::timestamptz, interval '1 minute') as m (until)
      join consumers c on c.created_at <= m.until and coalesce(c.deleted_at > m.until, true)`;
}

/** Whether what it had not got at the minute's end was that old: it waits still, or was settled since. */
function isLagging(until: Date, thresholdMs: number): Sql {
  const end = sql`${until}::timestamptz`;
  const isOld = sql`(d.created_at <= ${end} - ${thresholdMs} * interval '1 millisecond' and not d.is_late)`;
  // Each in the order of its index: asked whether some exist, PostgreSQL may read all.
  return sql`(coalesce((
      select true from deliveries d
      where d.consumer_id = c.id and d.status = 'pending' and ${isOld} order by d.next_attempt_at limit 1
    ), false) or coalesce((
      select true from attempts a cross join lateral (
        select from deliveries d where d.id = a.delivery_id and d.settled_at > ${end} and ${isOld} offset 0
      ) d
      where a.consumer_id = c.id and a.started_at > ${end} - ${LONGEST_ATTEMPT} order by a.started_at limit 1
    ), false))`;
}
