import { type RawBuilder, type Selectable, sql } from 'kysely';
import { isClean } from '../../domain/consumer-health.ts';
import type { ConsumerMode } from '../../domain/consumers.ts';
import type { ClaimedDelivery, ClaimLimits } from '../../domain/delivery-ports.ts';
import type { EventType } from '../../domain/events.ts';
import { bury } from './burial.ts';
import { healthColumns, healthOf, type HealthRow } from './consumer-health-rows.ts';
import { ago, type Queries } from './database.ts';
import { holdBack } from './delivery-held.ts';
import type { ConsumersTable } from './schema.ts';

/** Where no workflow decides: how often one delivery goes out to a consumer that is being probed. */
const PROBE_FALLBACK_MS = 60_000;
/** Of so many that wait the longest, the least tried is the next probe. */
const PROBE_CHOICE = 100;
/** Of one consumer, however many share: most have nothing to be sent. */
const LEAST_SHARE = 16;

const now = ago(0);

/**
 * Takes due deliveries for a relay; waits for no lock. While it runs, nobody else claims for the same consumers: so what
 * is under way is counted exactly, and what another relay claims for just now is left to the next round.
 */
export async function claim(trx: Queries, { limit, leaseMs }: ClaimLimits): Promise<ClaimedDelivery[]> {
  const open = await openConsumers(trx);
  const of = (...modes: OpenMode[]) => open.filter(({ mode }) => modes.includes(mode)).map(({ id }) => id);
  await bury(trx, of('deleted'));
  const busy = await holdBack(trx, of('normal', 'recovering', 'probing'));
  const ready = (ids: readonly string[]) => ids.filter((id) => !busy.includes(id));
  const probed = ready(of('probing'));
  const probes = probed.length === 0 ? [] : await take(trx, probesOf(probed, limit), leaseMs);
  const sent = ready(of('normal', 'recovering'));
  const left = limit - probes.length;
  return sent.length === 0 || left === 0 ? probes : [...probes, ...(await take(trx, dueOf(sent, left), leaseMs))];
}

type OpenMode = ConsumerMode | 'deleted';

/**
 * Consumers that may have something to be sent now, locked. What these were sent has to be counted by another statement:
 * this one does not see what the former holder of a lock did while it ran.
 */
async function openConsumers(trx: Queries): Promise<{ readonly id: string; readonly mode: OpenMode }[]> {
  const { rows } = await sql<{ id: string; mode: OpenMode }>`
    with recursive waiting as (
      (${nextWaiting(sql`''`)})
      union all
      select d.id, d.first from waiting w cross join lateral (${nextWaiting(sql`w.id`)}) d
    ), open as materialized (
      select c.id, case when c.deleted_at is null then h.mode else 'deleted' end as mode
      from waiting w join consumers c on c.id = w.id join consumer_health h on h.consumer_id = c.id
      where c.deleted_at is not null
        or ${isSentTo} and case h.mode when 'probing' then h.next_probe_at else w.first end <= ${now}
    )
    select id, mode from open
    where pg_try_advisory_xact_lock(hashtextextended('evenkeel.claim:' || id, 0))`.execute(trx);
  return rows;
}

/** One look into the index for each that has something pending, and none for the others: the deleted ones grow in number. */
const nextWaiting = (after: RawBuilder<unknown>) => sql`
  select d.consumer_id as id, d.next_attempt_at as first from deliveries d
  where d.status = 'pending' and d.consumer_id > ${after} order by d.consumer_id, d.next_attempt_at limit 1`;

const isSentTo = sql`c.deleted_at is null and c.state = 'enabled'
  and coalesce(h.throttled_until <= ${now}, true)`;

/** The first of its order that waits for the consumer. As a subquery, which needs one look into an index for each. */
const isHead = sql`(d.is_late or d.sequence = (
  select min(w.sequence) from deliveries w
  where w.consumer_id = d.consumer_id and w.order_id = d.order_id and w.status = 'pending' and not w.is_late))`;

const isUnderWay = sql`u.consumer_id = c.id and u.status = 'pending' and u.token is not null
  and u.next_attempt_at > ${now}`;

const consumerColumns = sql`c.id as consumer_id, c.target, c.secret,
  case when c.former_secret_until > ${now} then c.former_secret end as former_secret, ${healthColumns}`;

/**
 * As many as each has room for, whoever has the fewest under way first: a full relay claims one at a time, and always for
 * the oldest backlog if each claim began anew with one for each. It reads no more of a backlog than about twice a fair
 * share: what others leave over is taken by the next claim.
 */
function dueOf(consumerIds: readonly string[], limit: number): RawBuilder<unknown> {
  const share = Math.max(LEAST_SHARE, Math.ceil((2 * limit) / consumerIds.length));
  return sql`rooms as materialized (
      select ${consumerColumns}, u.under_way, greatest(0,
        case h.mode when 'recovering' then least(c.max_in_flight, coalesce(h.send_limit, 1)) else c.max_in_flight end
        - u.under_way) as room
      from consumers c join consumer_health h on h.consumer_id = c.id
        cross join lateral (select count(*) as under_way from deliveries u where ${isUnderWay}) u
      where c.id = any(${consumerIds}) and h.mode <> 'probing' and ${isSentTo}
    ), due as materialized (
      select d.id, d.token, d.next_attempt_at,
        r.under_way + row_number() over (partition by r.consumer_id order by d.next_attempt_at) as turn
      from rooms r cross join lateral (
        select * from (
          select d.id, d.token, d.next_attempt_at from deliveries d
          where d.consumer_id = r.consumer_id and d.status = 'pending' and d.next_attempt_at <= ${now} and ${isHead}
          order by d.next_attempt_at limit ${share}
        ) oldest limit r.room
      ) d
      order by turn, d.next_attempt_at limit ${limit}
    )`;
}

/** One of each, whatever its own wait: another order than the last time, if there is one. */
function probesOf(consumerIds: readonly string[], limit: number): RawBuilder<unknown> {
  return sql`rooms as materialized (
      select ${consumerColumns} from consumers c join consumer_health h on h.consumer_id = c.id
      where c.id = any(${consumerIds}) and h.mode = 'probing' and h.next_probe_at <= ${now} and ${isSentTo}
        and not exists (select 1 from deliveries u where ${isUnderWay})
      order by h.next_probe_at limit ${limit}
      for no key update of h skip locked
    ), due as materialized (
      select d.id, d.token, d.next_attempt_at, 1 as turn
      from rooms r cross join lateral (
        select * from (
          select d.id, d.token, d.next_attempt_at, d.attempts from deliveries d
          where d.consumer_id = r.consumer_id and d.status = 'pending' and ${isHead}
          order by d.next_attempt_at limit ${PROBE_CHOICE}
        ) oldest order by attempts, next_attempt_at limit 1
      ) d
    )`;
}

/** Each is the end of an index. Null, which is no, where no attempt of its own was ever written. */
const workedSince = sql`case when claimed.attempts > 1 then coalesce(
  (select max(a.id) from attempts a where a.consumer_id = claimed.consumer_id and a.outcome = 'delivered')
  > (select max(a.id) from attempts a where a.delivery_id = claimed.id), false) else false end`;

interface ClaimedRow extends HealthRow, Pick<Selectable<ConsumersTable>, 'target' | 'secret' | 'former_secret'> {
  readonly id: number;
  readonly token: string;
  readonly event_id: string;
  readonly order_id: string;
  readonly sequence: number;
  readonly strikes: number;
  readonly type: EventType;
  readonly body: string;
  readonly worked_since: boolean;
}

/** Takes what is `due` and still as it was seen, for the `rooms` that these CTEs are about. */
async function take(trx: Queries, due: RawBuilder<unknown>, leaseMs: number): Promise<ClaimedDelivery[]> {
  const { rows } = await sql<ClaimedRow>`
    with ${due}, taken as materialized (
      select d.id, due.turn, due.next_attempt_at as due_since from due join deliveries d on d.id = due.id
      where d.status = 'pending' and d.next_attempt_at = due.next_attempt_at and d.token is not distinct from due.token
      for no key update of d skip locked
    ), claimed as (
      update deliveries d set token = gen_random_uuid()::text, attempts = d.attempts + 1,
        first_attempt_at = coalesce(d.first_attempt_at, ${now}), next_attempt_at = ${ago(-leaseMs)}
      from taken where d.id = taken.id
      returning d.id, d.token, d.event_id, d.consumer_id, d.order_id, d.sequence, d.strikes, d.attempts, taken.turn,
        taken.due_since
    ), probed as (
      update consumer_health h set next_probe_at = ${ago(-PROBE_FALLBACK_MS)} from claimed
      where h.consumer_id = claimed.consumer_id and h.mode = 'probing'
    )
    select claimed.*, rooms.*, e.type, e.body, ${workedSince} as worked_since
    from claimed join rooms on rooms.consumer_id = claimed.consumer_id join events e on e.id = claimed.event_id
    order by claimed.turn, claimed.due_since`.execute(trx);
  return rows.map(claimedDelivery);
}

function claimedDelivery(row: ClaimedRow): ClaimedDelivery {
  const { consumer_id: consumerId, secret, former_secret: former, target } = row;
  return {
    id: row.id,
    token: row.token,
    eventId: row.event_id,
    type: row.type,
    body: row.body,
    orderId: row.order_id,
    sequence: row.sequence,
    strikes: row.strikes,
    destination: { consumerId, target, secrets: former === null ? [secret] : [secret, former] },
    mode: row.mode,
    isWatched: !isClean(healthOf(row)) || row.throttle_streak > 0,
    workedSince: row.worked_since,
  };
}
