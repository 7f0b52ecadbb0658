import { type RawBuilder, sql } from 'kysely';
import type { Thresholds } from '../../domain/objectives.ts';
import { calm, catchUps, fullSeconds, heldUpWithin, throttledWithin, troubledWithin } from './slo-hindrance.ts';
import { type Pass, plus, type Span, within } from './slo-pass.ts';

type Sql = RawBuilder<unknown>;

/** Of its consumers so many, and two at least, fail one event together only where it is likelier us. */
const FAILED_TOGETHER = 0.3;
const FEWEST_CONSUMERS = 3;
/** What a relay's lease has beyond the end of the attempt: LEASE_MARGIN_MS in delivery/relay.ts. */
const LEASE_MARGIN = sql.raw(`interval '15 seconds'`);

/** Each event with its deliveries; a corrected one is a person's answer to a dead letter, and no event of its own. */
export const eventsPass: Pass = {
  name: 'events',
  waitMs,
  times: sql`select at, id from events where replaces is null`,
  cost: sql`(select greatest(count(*), 1) from deliveries d where d.event_id = t.id)`,
  verdicts,
};

/** One moment for all three, so that a delivery is looked at once. */
function waitMs(thresholds: Thresholds): number {
  return Math.max(thresholds['delivery-dispatch'], thresholds['delivery-platform'], thresholds['delivery-end-to-end']);
}

/**
 * A delivery as it first ended; one that is not pending and was never dead ended as it says. Whoever sends a dead letter
 * again, edits or discards it overwrites that, and notes it.
 */
export const firstEnd = sql`case when d.is_late or d.status in ('replaced', 'discarded') then (
    select a.dead_since from dead_letter_actions a where a.delivery_id = d.id order by a.id limit 1
  ) else d.settled_at end`;
export const firstDelivered = sql`(d.status = 'delivered' and not d.is_late)`;

/** `offset 0` keeps these subqueries what they are: one look into an index for each row. */
function verdicts(span: Span, thresholds: Thresholds): Sql {
  const dispatchMs = thresholds['delivery-dispatch'];
  const platformDue = plus(sql`e.at`, thresholds['delivery-platform']);
  const endDue = plus(sql`e.at`, thresholds['delivery-end-to-end']);
  return sql`
    with lives as materialized (
      select e.id as event_id, e.order_id, e.sequence, e.at, ${plus(sql`e.at`, waitMs(thresholds))} as due,
        ${platformDue} as platform_due, ${endDue} as end_due, d.id, d.consumer_id, d.first_attempt_at, d.ended_at,
        coalesce(d.first_attempt_at <= ${plus(sql`e.at`, dispatchMs)}, false) as is_prompt,
        d.is_delivered and d.ended_at <= ${platformDue} as is_there, d.is_delivered and d.ended_at <= ${endDue} as is_good
      from events e cross join lateral (
        select d.id, d.consumer_id, d.first_attempt_at, ${firstEnd} as ended_at, ${firstDelivered} as is_delivered
        from deliveries d where d.event_id = e.id offset 0
      ) d
      where ${within(sql`e.at`, span)} and e.replaces is null
    ), suspects as materialized (
      select l.*, q.eligible_at, q.head_id
      from lives l cross join lateral (${queueBefore}) q
      where not (l.is_prompt and l.is_there and l.is_good)
    ), spans as materialized (
      select consumer_id, min(at) as since, max(due) as until from suspects group by 1
    ), full_seconds as materialized (
      ${fullSeconds(sql`select * from spans`)}
    ), catch_ups as materialized (
      ${catchUps(sql`select * from spans`)}
    ), calm as materialized (
      ${calm(sql`select * from spans`)}
    ), judged as materialized (
      select s.id, ${dispatchVerdict(dispatchMs)} as dispatch,
        case when s.is_there then 'there' else ${platformFault} end as fault, ${endVerdict} as end_to_end
      from (
        select s.*, c.consumer_id is null as is_hindered from suspects s left join calm c on c.consumer_id = s.consumer_id
      ) s
    ), whole as materialized (
      select l.event_id, l.due, coalesce(j.dispatch, 'good') as dispatch, coalesce(j.fault, 'there') as fault,
        coalesce(j.end_to_end, 'good') as end_to_end
      from lives l left join judged j on j.id = l.id
    )
    select 'delivery-dispatch' as slo, due, dispatch as verdict from whole
    union all
    select 'delivery-end-to-end', due, end_to_end from whole
    union all
    select 'delivery-platform', due, ${platformVerdict} from whole group by event_id, due`;
}

/**
 * When nothing of its order stood before it any more, and what did so at the platform's deadline: itself, if nothing did.
 * What was sent again holds nothing back.
 */
const queueBefore = sql`
  select greatest(l.at, max(coalesce(p.ended_at, 'infinity')) filter (where p.sequence < l.sequence)) as eligible_at,
    (array_agg(p.id order by p.sequence) filter (where coalesce(p.ended_at > l.platform_due, true)))[1] as head_id
  from (
    select e.sequence, d.id, d.ended_at from events e cross join lateral (
      select d.id, ${firstEnd} as ended_at from deliveries d
      where d.event_id = e.id and d.consumer_id = l.consumer_id offset 0
    ) d
    where e.order_id = l.order_id and e.sequence <= l.sequence and e.replaces is null offset 0
  ) p`;

/** Whether the consumer had no room in the second of `moment`. */
const wasFullAt = (moment: Sql): Sql => sql`exists (
  select from full_seconds f where f.consumer_id = s.consumer_id and f.second = date_trunc('second', ${moment}))`;

/** Asked only where there may be something to find. */
const wasHeldUp = (from: Sql, to: Sql, until: Sql = to): Sql =>
  sql`(s.is_hindered and ${heldUpWithin(sql`s.consumer_id`, from, to, until)})`;
const wasLeftAlone = (from: Sql, to: Sql): Sql => sql`(s.is_hindered
  and (${troubledWithin(sql`s.consumer_id`, from, to)} or ${throttledWithin(sql`s.consumer_id`, from, to)}))`;

/** From when it was free to go. What was still to come when it was judged does not count; nor what others held up. */
function dispatchVerdict(dispatchMs: number): Sql {
  const late = plus(sql`s.eligible_at`, dispatchMs);
  return sql`case
    when s.is_prompt or s.first_attempt_at <= least(${late}, s.due) then 'good'
    when ${late} > s.due then 'excluded'
    when ${wasHeldUp(sql`s.eligible_at`, late, sql`s.due`)} or ${wasLeftAlone(sql`s.eligible_at`, late)}
      or ${wasFullAt(late)} then 'excluded'
    else 'bad' end`;
}

const endVerdict = sql`case
  when s.is_good then 'good'
  when ${wasHeldUp(sql`s.at`, sql`s.end_due`)} then 'excluded'
  else 'bad' end`;

const attemptEnd = sql`a.started_at + a.duration_ms * interval '1 millisecond'`;

/**
 * Why an event did not get to a consumer in time. `held`: a person, or the consumer, wished so. `failed`: the consumer
 * had it, or a former event of the order, and did not take it, or could be sent nothing. `ours`: all else.
 */
const platformFault = sql`case
  when ${wasHeldUp(sql`s.at`, sql`s.platform_due`)} then 'held'
  when s.ended_at <= s.platform_due then 'failed'
  when exists (select from attempts a where a.delivery_id = s.head_id and a.started_at <= s.platform_due
    and (a.outcome = 'failed' or ${attemptEnd} > s.platform_due)) then 'failed'
  when exists (select from deliveries d where d.id = s.head_id and d.first_attempt_at <= s.platform_due
    and d.token is not null and d.next_attempt_at - ${LEASE_MARGIN} > s.platform_due) then 'failed'
  when ${wasLeftAlone(sql`s.at`, sql`s.platform_due`)} or ${wasFullAt(sql`s.at + (s.platform_due - s.at) / 2`)}
    then 'failed'
  else 'ours' end`;

const of = (fault: string): Sql => sql`count(*) filter (where fault = ${fault})`;
/** Of those that nobody held: these alone are asked. */
const asked = sql`count(*) filter (where fault <> 'held')`;

/** Whoever is held, or fails by itself, is left out: what is asked is whether all others had it. */
const platformVerdict = sql`case
  when ${of('ours')} > 0 then 'bad'
  when ${asked} >= ${FEWEST_CONSUMERS} and ${of('failed')} >= 2
    and ${of('failed')} > ${FAILED_TOGETHER}::float8 * ${asked} then 'bad'
  when ${of('there')} > 0 then 'good'
  else 'excluded' end`;
