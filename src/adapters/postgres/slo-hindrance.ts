/** Why a consumer was sent nothing, as far as records tell; each as SQL over a consumer's id and two moments. */
import { type RawBuilder, sql } from 'kysely';

type Sql = RawBuilder<unknown>;

/** What a consumer says when it is overloaded: see `overloaded` in domain/delivery.ts. */
const overloaded = ['http_429', 'http_502', 'http_503', 'http_504'];

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
        and a.started_at > ${from} - interval '5 minutes' and a.started_at <= ${to}
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
