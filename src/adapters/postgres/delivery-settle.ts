import { sql } from 'kysely';
import type { Settled, Settlement } from '../../domain/delivery-ports.ts';
import { disable, lockConsumers } from './consumer-changes.ts';
import { hasBegun, listen, lockHealth, writeHealth } from './consumer-health-rows.ts';
import { ago, type Queries } from './database.ts';
import { storable } from './text.ts';

/**
 * Writes how attempts ended; of those that are not its own any more, that they were made. What others hold is missed: one
 * such delivery does not keep those of all consumers waiting.
 */
export async function settle(trx: Queries, settlements: readonly Settlement[], relay: string): Promise<Settled> {
  await lockConsumers(trx, consumersOf(settlements.filter(disables)));
  // A healthy consumer's successes are no news: their health is neither read nor locked.
  const news = consumersOf(settlements.filter((one) => one.delivery.isWatched || one.verdict.next !== 'delivered'));
  const healths = await lockHealth(trx, news);

  const written = await writeOutcomes(trx, settlements, relay);
  const own = new Map(written.flatMap(({ id, fate, attempts }) => (fate === 'written' ? [[id, attempts]] : [])));
  const heads = settlements.filter(({ delivery }) => own.has(delivery.id));
  await moveSuccessors(trx, heads, own);

  const byConsumer = Map.groupBy(heads, ({ delivery }) => delivery.destination.consumerId);
  const heard = healths.map((row) => listen(row, byConsumer.get(row.consumer_id) ?? []));
  await writeHealth(trx, heard);
  const gone = consumersOf(heads.filter(disables)).map((id) => ({ id, reason: 'answered 410 Gone' }));
  return {
    late: written.filter(({ fate }) => fate === 'late').map(({ id }) => id),
    missed: written.filter(({ fate }) => fate === 'missed').map(({ id }) => id),
    troubled: heard
      .filter(({ health }) => health.mode !== 'normal')
      .map((one) => ({ consumerId: one.row.consumer_id, epoch: one.health.epoch, began: hasBegun(one) })),
    disabled: await disable(trx, 'disabled', gone),
  };
}

function disables({ verdict }: Settlement): boolean {
  return verdict.next !== 'delivered' && verdict.disables;
}

function consumersOf(settlements: readonly Settlement[]): string[] {
  return [...new Set(settlements.map(({ delivery }) => delivery.destination.consumerId))];
}

interface Written {
  readonly id: number;
  /** `late`: it is another relay's by now, or settled; `missed`: somebody holds it. */
  readonly fate: 'written' | 'late' | 'missed';
  /** How often it was tried; of one that is written. */
  readonly attempts: number | null;
}

/**
 * Outcomes and log, in one statement. Resolves with what it wrote and what it missed: nothing of a settlement that was
 * written before by one whose answer got lost.
 */
async function writeOutcomes(trx: Queries, settlements: readonly Settlement[], relay: string): Promise<Written[]> {
  const rows = settlements.map(outcomeOf);
  const { rows: written } = await sql<Written>`
    with given as materialized (
      select * from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as n (id bigint, token text, "consumerId" text,
        status text, strikes int, cause text, "delayMs" float8, outcome text, failure text, answered int, answer text,
        error text, "startedAt" timestamptz(3), "durationMs" int)
    ), seen as materialized (
      select d.id from deliveries d join given g on g.id = d.id where d.token = g.token and d.status = 'pending'
    ), own as materialized (
      select d.id from deliveries d join given g on g.id = d.id
      where d.token = g.token and d.status = 'pending' order by d.id for no key update of d skip locked
    ), missed as materialized (
      select id from seen where id not in (select id from own)
    ), logged as (
      insert into attempts (delivery_id, consumer_id, started_at, duration_ms, outcome, cause, status, answer, error,
        relay, late)
      select g.id, g."consumerId", g."startedAt", g."durationMs", g.outcome, g.failure, g.answered, g.answer, g.error,
        ${relay}, own.id is null
      from given g left join own on own.id = g.id
      where own.id is not null or g.id not in (select id from missed) and coalesce((
        select false from attempts a
        where a.delivery_id = g.id and a.started_at = g."startedAt" and a.relay = ${relay} limit 1), true)
      returning delivery_id, late
    ), settled as (
      update deliveries d set status = g.status, token = null, strikes = coalesce(g.strikes, d.strikes),
        cause = g.cause, last_status = g.answered, last_error = g.error,
        settled_at = case when g.status <> 'pending' then ${ago(0)} end,
        next_attempt_at = case when g.status = 'pending' then ${ago(0)} + g."delayMs" * interval '1 millisecond'
          else d.next_attempt_at end
      from given g join own on own.id = g.id where d.id = g.id returning d.id, d.attempts
    )
    select logged.delivery_id as id, case when logged.late then 'late' else 'written' end as fate, settled.attempts
    from logged left join settled on settled.id = logged.delivery_id
    union all
    select id, 'missed', null from missed`.execute(trx);
  return written;
}

function outcomeOf({ delivery, result, verdict }: Settlement) {
  const failed = verdict.next === 'delivered' ? null : verdict;
  return {
    id: delivery.id,
    token: delivery.token,
    consumerId: delivery.destination.consumerId,
    status: verdict.next === 'retry' ? 'pending' : verdict.next,
    strikes: failed?.strikes ?? null,
    cause: verdict.next === 'dead' ? verdict.cause : null,
    delayMs: failed?.delayMs ?? null,
    outcome: failed === null ? 'delivered' : 'failed',
    failure: failed?.cause ?? null,
    answered: result.status,
    answer: result.answer === null ? null : storable(result.answer),
    error: result.error === null ? null : storable(result.error),
    startedAt: result.startedAt.toISOString(),
    durationMs: Math.round(result.durationMs),
  };
}

/**
 * Later events of an order that waits wait as long as it does, so that no claim reads them in vain; once it is over
 * they are due. No two relays do so for the same order: only one's claim of its first delivery holds.
 */
async function moveSuccessors(
  trx: Queries,
  heads: readonly Settlement[],
  attempts: ReadonlyMap<number, number | null>,
): Promise<void> {
  const waiting = heads.filter(({ verdict }) => verdict.next === 'retry');
  if (waiting.length > 0) {
    await sql`
      update deliveries s set next_attempt_at = d.next_attempt_at from deliveries d
      where d.id = any(${idsOf(waiting)}) and not d.is_late and ${followsHead}
        and s.next_attempt_at < d.next_attempt_at`.execute(trx);
  }
  // What succeeds at once has made nothing wait.
  const over = heads.filter(({ delivery: { id }, verdict }) => verdict.next !== 'retry' && attempts.get(id) !== 1);
  if (over.length === 0) return;
  await sql`
    update deliveries s set next_attempt_at = ${ago(0)} from deliveries d
    where d.id = any(${idsOf(over)}) and not d.is_late and ${followsHead}
      and s.next_attempt_at > ${ago(0)}`.execute(trx);
}

const followsHead = sql`s.consumer_id = d.consumer_id and s.order_id = d.order_id and s.sequence > d.sequence
  and s.status = 'pending' and not s.is_late and s.token is null`;

function idsOf(settlements: readonly Settlement[]): number[] {
  return settlements.map(({ delivery }) => delivery.id);
}
