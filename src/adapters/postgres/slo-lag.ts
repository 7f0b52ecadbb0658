import { type RawBuilder, sql } from 'kysely';
import type { Thresholds } from '../../domain/objectives.ts';
import type { Queries } from './database.ts';
import { heldAt, heldWithin } from './slo-hindrance.ts';
import type { Horizon } from './slo-pass.ts';

type Sql = RawBuilder<unknown>;

const MINUTE_MS = 60_000;
/** What happened since a minute's end is undone by looking at the attempts since; later than that, nobody measured. */
const MEASURED_WITHIN_MS = MINUTE_MS;
/** An attempt that ended after the minute began no earlier than so long before: see slo-hindrance.ts. */
const LONGEST_ATTEMPT = sql.raw(`interval '65 seconds'`);
const LONGEST_GAP_MS = 30 * 24 * 60 * MINUTE_MS;
/** Consumers times minutes of a gap in one round: a fraction of a second. */
const LARGEST_GAP = 2_000;
/** What was sent right after a minute that nobody measured, and shows what had waited: more would not be bounded. */
const SHOWN_AFTER_GAP = 100;

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
 * Of a minute that nobody measured in time, records show only that it was bad, and not that it was good: by what waits
 * still, and by the first that was sent afterwards. Otherwise it is excluded.
 */
export function lagVerdicts({ first, last, isMeasured }: LagMinutes, thresholds: Thresholds): Sql {
  return sql`
    select 'consumer-lag' as slo, m.until - interval '1 millisecond' as due, case
        when coalesce(${heldAt(sql`c.id`, sql`m.until`)}, c.state <> 'enabled') then 'excluded'
        when ${isLagging(thresholds['consumer-lag'])} then 'bad'
        when m.is_measured then 'good'
        else 'excluded' end as verdict
    from (
      select until, ${isMeasured} and until = ${last} as is_measured
      from generate_series(${first}::timestamptz, ${last}::timestamptz, interval '1 minute') as until
    ) m join consumers c on c.created_at <= m.until and coalesce(c.deleted_at > m.until, true)`;
}

/**
 * Whether what it had not got at the minute's end was that old: it waits still, or was settled since. What was held for
 * it ages from when it was enabled again, and a dead letter that is sent again had its time.
 */
function isLagging(thresholdMs: number): Sql {
  const old = sql`(m.until - ${thresholdMs} * interval '1 millisecond')`;
  // Each in the order of its index: asked whether some exist, PostgreSQL may read all.
  return sql`(not ${heldWithin(sql`c.id`, old, sql`m.until`)} and (coalesce((
      select d.created_at <= ${old} from deliveries d
      where d.consumer_id = c.id and d.status = 'pending' and not d.is_late order by d.created_at limit 1
    ), false) or coalesce((
      select true from (
        select a.delivery_id from attempts a
        where a.consumer_id = c.id
          and a.started_at > case when m.is_measured then m.until - ${LONGEST_ATTEMPT} else m.until end
        order by a.started_at limit case when m.is_measured then null else ${SHOWN_AFTER_GAP}::int end
      ) a cross join lateral (
        select from deliveries d
        where d.id = a.delivery_id and d.settled_at > m.until and d.created_at <= ${old} and not d.is_late offset 0
      ) d limit 1
    ), false)))`;
}
