/** Why a consumer was sent nothing, as far as records tell; each as SQL over a consumer's id and two moments. */
import { type RawBuilder, sql } from 'kysely';
import { ago } from './database.ts';

type Sql = RawBuilder<unknown>;

/** What a consumer says when it is overloaded: see `overloaded` in domain/delivery.ts. */
const overloaded = ['http_429', 'http_502', 'http_503', 'http_504'];

/** One that said so, and not for how long, is left alone for so long at most. */
const LONGEST_SILENCE = sql.raw(`interval '5 minutes'`);

/** The last of its changes up to `at`; `k` is one. */
const lastChange = (consumerId: Sql, at: Sql, what: Sql, which: Sql = sql`true`) => sql`(
  select ${what} from consumer_changes k
  where k.consumer_id = ${consumerId} and k.at <= ${at} and ${which} order by k.at desc, k.id desc limit 1)`;

const isHeld = sql`(k.state <> 'enabled' or k.types is null)`;

/** Whether it was paused, disabled or deleted at `at`; null where it was not there yet. Exact. */
export const heldAt = (consumerId: Sql, at: Sql): Sql => lastChange(consumerId, at, isHeld);

/** Whether it was so at any moment from `from` to `to`. Exact. */
export const heldWithin = (consumerId: Sql, from: Sql, to: Sql): Sql => sql`(
  coalesce(${heldAt(consumerId, from)}, false) or exists (
    select from consumer_changes k
    where k.consumer_id = ${consumerId} and k.at > ${from} and k.at <= ${to} and ${isHeld}))`;

/** A backlog of longer ago is no reason any more. */
const LONGEST_CATCH_UP = sql.raw(`interval '7 days'`);
/** Of a consumer's oldest that are due, to see whether some were never sent. */
const LOOK = 500;

/**
 * Selects `consumer_id`, `since`, `last_sent` and `is_waiting` for each time that a consumer was resumed or enabled with
 * a backlog: when the last of that was first sent, within the span, and whether some of it still waits to be.
 */
export const catchUps = (spans: Sql): Sql => sql`
  select s.consumer_id, r.at as since, sent.last_sent, coalesce(waiting.since <= r.at, false) as is_waiting
  from (${spans}) s
    cross join lateral (
      select k.at from consumer_changes k
      where k.consumer_id = s.consumer_id and k.action in ('resumed', 'enabled') and k.at <= s.until
        and k.at >= coalesce((
          -- Whatever was left of a former backlog is part of this one.
          select max(b.at) from consumer_changes b
          where b.consumer_id = s.consumer_id and b.action in ('resumed', 'enabled') and b.at <= s.since
        ), s.since) and k.at > s.since - ${LONGEST_CATCH_UP}
    ) r
    cross join lateral (select max(b.first_attempt_at) as last_sent from ${backlogSent(sql`s.consumer_id`, sql`r.at`, sql`s.since`, sql`s.until`)} b) sent
    cross join lateral (
      select min(w.created_at) as since from (
        select d.created_at, d.first_attempt_at from deliveries d
        where d.consumer_id = s.consumer_id and d.status = 'pending' and d.next_attempt_at <= ${ago(0)}
        order by d.next_attempt_at limit ${LOOK}
      ) w where w.first_attempt_at is null
    ) waiting
  where sent.last_sent is not null or waiting.since <= r.at`;

/** What was first sent from `from` to `to`, and had been there when the consumer was resumed. */
const backlogSent = (consumerId: Sql, resumedAt: Sql, from: Sql, to: Sql) => sql`(
  select d.first_attempt_at from attempts a cross join lateral (
    select d.first_attempt_at from deliveries d
    where d.id = a.delivery_id and d.created_at <= ${resumedAt}
      and d.first_attempt_at >= greatest(${resumedAt}, ${from}) offset 0
  ) d
  where a.consumer_id = ${consumerId} and a.started_at >= ${from} and a.started_at <= ${to} order by a.started_at)`;

/**
 * Whether it was held at any moment from `from` to `to`, or what had been held before was still being sent: its relays
 * send the oldest first. Until `until`, some of it was sent for the first time, or still waits for that. Taken from
 * `catch_ups`.
 */
export const heldUpWithin = (consumerId: Sql, from: Sql, to: Sql, until: Sql = to): Sql => sql`(
  ${heldWithin(consumerId, from, to)} or exists (
    select from catch_ups r
    where r.consumer_id = ${consumerId} and r.since <= ${to} and (r.is_waiting or r.last_sent >= ${from} and coalesce((
      select true from ${backlogSent(consumerId, sql`r.since`, from, until)} b limit 1), false))))`;

/**
 * One that is enabled again with a backlog is in trouble, which nobody notes: that this ended, or lasts, shows it. Exact
 * but for one that a person disables again before that.
 */
const cameBackInTrouble = (consumerId: Sql) => sql`coalesce((
    select n.action in ('trouble_ended', 'gave_up') from consumer_changes n
    where n.consumer_id = ${consumerId} and n.at >= k.at and n.id > k.id
      and n.action in ('trouble_began', 'trouble_ended', 'gave_up', 'disabled', 'enabled', 'deleted')
    order by n.at, n.id limit 1
  ), (select h.mode <> 'normal' from consumer_health h where h.consumer_id = ${consumerId}))`;

/** Whether it was in trouble, probed or slowly opened, at any moment from `from` to `to`. */
export const troubledWithin = (consumerId: Sql, from: Sql, to: Sql): Sql => sql`(
  coalesce(${lastChange(
    consumerId,
    from,
    sql`k.action = 'trouble_began' or k.action = 'enabled' and ${cameBackInTrouble(consumerId)}`,
    sql`k.action in ('created', 'enabled', 'trouble_began', 'trouble_ended', 'deleted')`,
  )}, false) or exists (
    select from consumer_changes k
    where k.consumer_id = ${consumerId} and k.at > ${from} and k.at <= ${to} and k.action = 'trouble_began'))`;

/**
 * Whether it was left alone at any moment from `from` to `to` because it said that it is overloaded. Exact for the last
 * time that it said so; before that, it was if nothing was begun after such an answer, for the five minutes at most that
 * one waits which does not say for how long. The attempts' times are the relays'.
 */
export const throttledWithin = (consumerId: Sql, from: Sql, to: Sql): Sql => sql`(
  coalesce((
    select h.throttled_until > ${from} and h.failed_at <= ${to} from consumer_health h
    where h.consumer_id = ${consumerId}
  ), false) or coalesce((
    select f.ended_at > ${from} or not exists (
      select from attempts n
      where n.consumer_id = ${consumerId} and n.started_at > f.ended_at and n.started_at <= ${from})
    from (
      select a.started_at + a.duration_ms * interval '1 millisecond' as ended_at from attempts a
      where a.consumer_id = ${consumerId} and a.outcome = 'failed' and a.cause = any(${overloaded})
        and a.started_at > ${from} - ${LONGEST_SILENCE} and a.started_at <= ${to}
      order by a.started_at desc, a.duration_ms desc limit 1
    ) f
  ), false))`;

/** So full that a claim finds a place now and then, and not for each that waits. */
const FULL = 0.8;
/** No attempt takes longer: EVENKEEL_DELIVERY_TIMEOUT_MS is a minute at most, and the sender gives up soon after. */
const LONGEST_ATTEMPT = sql.raw(`interval '65 seconds'`);

/**
 * Selects `consumer_id` and `second` where a consumer had no room: its attempts filled over 80 % of what it may have
 * under way, on average. By what it may have now, and by the relays' clocks. `spans` selects `consumer_id`, `since`,
 * `until`.
 */
export const fullSeconds = (spans: Sql): Sql => sql`
  select s.consumer_id, second
  from (${spans}) s join consumers c on c.id = s.consumer_id
    cross join lateral (
      select a.started_at, a.started_at + a.duration_ms * interval '1 millisecond' as ended_at from attempts a
      where a.consumer_id = s.consumer_id and a.started_at > s.since - ${LONGEST_ATTEMPT} and a.started_at <= s.until
      offset 0
    ) a
    cross join lateral generate_series(date_trunc('second', a.started_at), a.ended_at, interval '1 second') as second
  group by s.consumer_id, second, c.max_in_flight
  having sum(extract(epoch from least(a.ended_at, second + interval '1 second') - greatest(a.started_at, second)))
    >= ${FULL}::float8 * c.max_in_flight`;

/**
 * Selects `consumer_id` where nothing of all this can be said of any moment of its span, so that it need not be asked for
 * each delivery: in an outage of ours, for hundreds of thousands. Reads `catch_ups`.
 */
export const calm = (spans: Sql): Sql => sql`
  select s.consumer_id from (${spans}) s
  where not coalesce(${heldAt(sql`s.consumer_id`, sql`s.since`)}, false)
    and not ${troubledWithin(sql`s.consumer_id`, sql`s.since`, sql`s.until`)}
    and not exists (
      select from consumer_changes k where k.consumer_id = s.consumer_id and k.at > s.since and k.at <= s.until)
    and not exists (select from catch_ups r where r.consumer_id = s.consumer_id)
    and not exists (
      select from consumer_health h
      where h.consumer_id = s.consumer_id and h.throttled_until > s.since and h.failed_at <= s.until)
    and not exists (
      select from attempts a
      where a.consumer_id = s.consumer_id and a.outcome = 'failed' and a.cause = any(${overloaded})
        and a.started_at > s.since - ${LONGEST_SILENCE} and a.started_at <= s.until)`;
