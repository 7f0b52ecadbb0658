import { type RawBuilder, sql } from 'kysely';
import type { TroubleObservation } from '../../domain/consumer-trouble.ts';
import type { ConsumerTroubles } from '../../domain/delivery-ports.ts';
import { disable, lockConsumers, noteChanges } from './consumer-changes.ts';
import { lockHealth } from './consumer-health-rows.ts';
import { ago, type Database, type Queries } from './database.ts';

/** What is due for no longer is not left behind: it was written just now. */
const FRESH_MS = 5000;
/** Whether there are more than so many makes no difference. */
const LEFT_BEHIND = 1000;

export function postgresConsumerTroubles(db: Database): ConsumerTroubles {
  return {
    observe: (consumerId, epoch) => db.read((queries) => observe(queries, consumerId, epoch)),
    probe: (consumerId, epoch) =>
      db.read(async (queries) => {
        await sql`
          update consumer_health set next_probe_at = clock_timestamp()
          where consumer_id = ${consumerId} and epoch = ${epoch} and mode = 'probing'`.execute(queries);
      }),
    open: (consumerId, epoch, sendLimit) =>
      db.read(async (queries) => {
        // A failure that came after the success, and before this, wins: another probe has to tell.
        await sql`
          update consumer_health set mode = 'recovering', send_limit = ${sendLimit}, next_probe_at = null
          where consumer_id = ${consumerId} and epoch = ${epoch}
            and (mode = 'recovering' or mode = 'probing' and successes > 0)`.execute(queries);
      }),
    end: (consumerId, epoch) => db.transaction((trx) => end(trx, consumerId, epoch)),
    giveUp: (consumerId, epoch) => db.transaction((trx) => giveUp(trx, consumerId, epoch)),
    inTrouble: () =>
      db.read(async (queries) => {
        const { rows } = await sql<{ consumerId: string; epoch: number }>`
          select h.consumer_id as "consumerId", h.epoch
          from consumer_health h join consumers c on c.id = h.consumer_id
          where h.mode <> 'normal' and c.state = 'enabled' and c.deleted_at is null order by h.consumer_id`.execute(
          queries,
        );
        return rows;
      }),
  };
}

const over: TroubleObservation = {
  isCurrent: false,
  state: 'disabled',
  mode: 'normal',
  successes: 0,
  failures: 0,
  relapses: 0,
  sendLimit: null,
  maxInFlight: 1,
  leftBehind: 0,
  hasPending: false,
  failingForMs: null,
  failedMsAgo: null,
};

async function observe(queries: Queries, consumerId: string, epoch: number): Promise<TroubleObservation> {
  const { rows } = await sql<TroubleObservation>`
    select h.epoch = ${epoch} and h.mode <> 'normal' as "isCurrent", c.state, h.mode, h.successes, h.failures,
      h.relapses, h.send_limit as "sendLimit", c.max_in_flight as "maxInFlight",
      ${leftBehind(LEFT_BEHIND)} as "leftBehind", ${hasPending} as "hasPending", ${failingForMs} as "failingForMs",
      ${msSince(sql`h.failed_at`)} as "failedMsAgo"
    from consumers c join consumer_health h on h.consumer_id = c.id
    where c.id = ${consumerId} and c.deleted_at is null`.execute(queries);
  return rows[0] ?? over;
}

/** Null if there was no such time. */
function msSince(time: RawBuilder<unknown>) {
  return sql<number | null>`(case when ${time} is not null then
    greatest(0, extract(epoch from clock_timestamp() - ${time}) * 1000) end)::float8`;
}

/** A person who enables it again or goes on wants it to be tried for as long as before. */
const failingForMs = msSince(
  sql`(case when h.failing_since is not null then greatest(h.failing_since, c.state_since) end)`,
);

/** As one look into the index: whether some exist is a question that is answered by reading all, at times. */
const hasPending = sql<boolean>`((
  select min(d.next_attempt_at) from deliveries d where d.consumer_id = h.consumer_id and d.status = 'pending'
) is not null)`;

/** Not what waits because an earlier event of its order waits its own time, which may be hours. */
function leftBehind(limit: number) {
  return sql<number>`(select count(*) from (
    select 1 from deliveries d
    where d.consumer_id = h.consumer_id and d.status = 'pending' and d.next_attempt_at <= ${ago(FRESH_MS)}
      and (d.is_late or not coalesce((
        select true from deliveries w
        where w.consumer_id = d.consumer_id and w.order_id = d.order_id and w.status = 'pending' and not w.is_late
          and w.sequence < d.sequence and w.token is null and w.next_attempt_at > ${ago(0)} limit 1), false))
    limit ${limit}) as found)`;
}

/** Its row is held from the look on, so that a failure comes either before it, and is seen, or after, and begins anew. */
async function end(trx: Queries, consumerId: string, epoch: number): Promise<boolean> {
  if ((await lockHealth(trx, [consumerId])).length === 0) return false;
  const { rows } = await sql<{ id: string; failures: number }>`
    update consumer_health h set mode = 'normal', trouble_since = null, reason = null, send_limit = null,
      next_probe_at = null, successes = 0, relapses = 0
    where h.consumer_id = ${consumerId} and h.epoch = ${epoch} and h.mode <> 'normal'
      and (h.mode = 'recovering' and h.failures = 0 and ${leftBehind(1)} = 0 or not ${hasPending})
    returning h.consumer_id as id, h.failures`.execute(trx);
  await noteChanges(
    trx,
    'trouble_ended',
    rows.map(({ id, failures }) => ({ id, reason: failures === 0 ? null : 'nothing is left to be sent' })),
  );
  return rows.length > 0;
}

async function giveUp(trx: Queries, consumerId: string, epoch: number): Promise<void> {
  await lockConsumers(trx, [consumerId]);
  await lockHealth(trx, [consumerId]);
  // A success that came in between, or a person, is a reason to leave it as it is.
  const { rows } = await sql<{ id: string; reason: string | null; failingForMs: number }>`
    select c.id, h.reason, ${failingForMs} as "failingForMs"
    from consumers c join consumer_health h on h.consumer_id = c.id
    where c.id = ${consumerId} and c.state = 'enabled' and h.epoch = ${epoch} and h.mode = 'probing'
      and h.failing_since is not null and ${hasPending}`.execute(trx);
  await disable(
    trx,
    'gave_up',
    rows.map(({ id, reason, failingForMs: ms }) => ({
      id,
      reason: `nothing but failures for over ${inWords(ms)}: ${reason ?? 'not known why'}`,
    })),
  );
}

function inWords(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  return minutes < 120 ? `${minutes} minutes` : `${Math.floor(minutes / 60)} hours`;
}
