import { randomUUID } from 'node:crypto';
import { type RawBuilder, type Selectable, sql } from 'kysely';
import type { Audit, DeadLetters } from '../../domain/consumer-ports.ts';
import type { DeadCause } from '../../domain/delivery.ts';
import type { EventData, EventEnvelope } from '../../domain/events.ts';
import { DomainFailure } from '../../domain/failures.ts';
import type { Database, Queries } from './database.ts';
import { countRedrivable, findDeadLetter, groupDeadLetters, listDeadLetters } from './dead-letter-views.ts';
import type { DeliveriesTable } from './schema.ts';

export function postgresDeadLetters(db: Database): DeadLetters {
  return {
    list: (filter, page) => db.read((queries) => listDeadLetters(queries, filter, page)),
    groups: (filter, by) => db.read((queries) => groupDeadLetters(queries, filter, by)),
    count: (filter) => db.read((queries) => countRedrivable(queries, filter)),
    find: async (id) => {
      const number = numberOf(id);
      return number === undefined ? undefined : db.read((queries) => findDeadLetter(queries, number));
    },
    retry: (id, audit) =>
      db.transaction(async (trx) => {
        const letter = await lockSendable(trx, id);
        const chosen = sql`select id, cause, settled_at from deliveries where id = ${letter.id}`;
        await sendAgain(trx, chosen, audit);
      }),
    edit: (id, data, audit) => db.transaction((trx) => edit(trx, id, data, audit)),
    discard: (id, audit) =>
      db.transaction(async (trx) => {
        await resolve(trx, await lockLetter(trx, id), { status: 'discarded', action: 'discard' }, audit);
      }),
  };
}

/** Ids come as text from whoever asks. */
function numberOf(id: string): number | undefined {
  return /^[1-9]\d{0,14}$/.test(id) ? Number(id) : undefined;
}

interface LockedLetter extends Selectable<DeliveriesTable> {
  readonly cause: DeadCause;
  readonly settled_at: Date;
  readonly consumer_deleted_at: Date | null;
}

/** A dead letter whose row this transaction holds: of several who act on it, the first one does. */
async function lockLetter(trx: Queries, id: string): Promise<LockedLetter> {
  const { rows } = await sql<Selectable<DeliveriesTable> & { consumer_deleted_at: Date | null }>`
    select d.*, c.deleted_at as consumer_deleted_at
    from deliveries d join consumers c on c.id = d.consumer_id
    where d.id = ${numberOf(id) ?? null} for update of d`.execute(trx);
  const [row] = rows;
  if (row === undefined) throw new DomainFailure('not_found', `There is no dead letter ${id}.`);
  const { cause, settled_at: settledAt } = row;
  if (row.status === 'dead' && cause !== null && settledAt !== null) return { ...row, cause, settled_at: settledAt };
  throw new DomainFailure('conflict', `Delivery ${id} is ${row.status}: it is no dead letter (any more).`);
}

async function lockSendable(trx: Queries, id: string): Promise<LockedLetter> {
  const letter = await lockLetter(trx, id);
  if (letter.consumer_deleted_at === null) return letter;
  throw new DomainFailure(
    'conflict',
    `Consumer ${letter.consumer_id} is deleted: dead letter ${id} can be sent to nobody. Discard it.`,
  );
}

/**
 * Has dead letters sent again, as if they had never failed, and says how many. `chosen` selects `id`, `cause` and
 * `settled_at` of dead letters that this transaction holds.
 */
export async function sendAgain(
  trx: Queries,
  chosen: RawBuilder<unknown>,
  { actor, reason }: Audit,
  redriveId: string | null = null,
): Promise<number> {
  const { rows } = await sql<{ id: number }>`
    with chosen as materialized (${chosen}), sent as (
      update deliveries d set status = 'pending', is_late = true, strikes = 0, cause = null, settled_at = null,
        next_attempt_at = clock_timestamp(), token = null,
        redriven_at = case when ${redriveId}::text is null then d.redriven_at else clock_timestamp() end
      from chosen where d.id = chosen.id
    )
    insert into dead_letter_actions (delivery_id, at, action, actor, reason, cause, dead_since, redrive_id)
    select id, clock_timestamp(), case when ${redriveId}::text is null then 'retry' else 'redrive' end, ${actor},
      ${reason}, cause, settled_at, ${redriveId} from chosen
    returning id`.execute(trx);
  return rows.length;
}

/** The corrected event stands beside the one that it replaces, and goes to the one consumer that could not take that. */
async function edit(trx: Queries, id: string, data: EventData, audit: Audit) {
  const letter = await lockSendable(trx, id);
  const original = await trx
    .selectFrom('events')
    .select(['type', 'at', 'body'])
    .where('id', '=', letter.event_id)
    .executeTakeFirstOrThrow();
  const eventId = randomUUID();
  const { data: _, ...attributes } = JSON.parse(original.body) as EventEnvelope;
  const envelope: EventEnvelope = { ...attributes, id: eventId, replaces: letter.event_id, data };
  const { order_id, sequence, consumer_id } = letter;
  const { type, at } = original;
  await trx
    .insertInto('events')
    .values({ id: eventId, order_id, sequence, type, at, body: JSON.stringify(envelope), replaces: letter.event_id })
    .execute();
  const delivery = await trx
    .insertInto('deliveries')
    .values({
      event_id: eventId,
      consumer_id,
      order_id,
      sequence,
      is_late: true,
      created_at: at,
      next_attempt_at: sql<Date>`clock_timestamp()`,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  await resolve(trx, letter, { status: 'replaced', action: 'edit', eventId }, audit);
  return { eventId, deliveryId: String(delivery.id) };
}

type Resolution =
  | { readonly status: 'discarded'; readonly action: 'discard' }
  | { readonly status: 'replaced'; readonly action: 'edit'; readonly eventId: string };

/** It is nobody's any more; what it was is kept with who decided so. */
async function resolve(trx: Queries, letter: LockedLetter, resolution: Resolution, audit: Audit): Promise<void> {
  const { status, action } = resolution;
  await trx
    .updateTable('deliveries')
    .set({ status, cause: null, settled_at: sql<Date>`clock_timestamp()` })
    .where('id', '=', letter.id)
    .execute();
  await trx
    .insertInto('dead_letter_actions')
    .values({
      delivery_id: letter.id,
      at: sql<Date>`clock_timestamp()`,
      action,
      actor: audit.actor,
      reason: audit.reason,
      cause: letter.cause,
      dead_since: letter.settled_at,
      event_id: resolution.action === 'edit' ? resolution.eventId : null,
    })
    .execute();
}
