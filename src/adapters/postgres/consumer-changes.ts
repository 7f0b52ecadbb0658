import { sql } from 'kysely';
import type { Queries } from './database.ts';

/** Who is named where no person did it. */
const PROGRAM = 'evenkeel';

/** Notes what was done to consumers, by whom, and what they are from then on. */
export async function noteChanges(
  trx: Queries,
  action: string,
  consumers: readonly { readonly id: string; readonly reason: string | null }[],
  actor = PROGRAM,
): Promise<void> {
  if (consumers.length === 0) return;
  const ids = consumers.map(({ id }) => id);
  const reasons = consumers.map(({ reason }) => reason);
  await sql`
    insert into consumer_changes (consumer_id, at, action, actor, reason, types, filter, state)
    select c.id, clock_timestamp(), ${action}, ${actor}, n.reason, case when c.deleted_at is null then c.types end,
      c.filter, c.state
    from consumers c join unnest(${ids}::text[], ${reasons}::text[]) as n (id, reason) on n.id = c.id`.execute(trx);
}

/** Disables those that are not yet, with the reason, and resolves with their ids. */
export async function disable(
  trx: Queries,
  action: 'disabled' | 'gave_up',
  consumers: readonly { readonly id: string; readonly reason: string }[],
): Promise<string[]> {
  if (consumers.length === 0) return [];
  const { rows } = await sql<{ id: string; reason: string }>`
    update consumers c set state = 'disabled', state_reason = n.reason, state_since = clock_timestamp(),
      version = c.version + 1
    from unnest(${consumers.map(({ id }) => id)}::text[], ${consumers.map(({ reason }) => reason)}::text[])
      as n (id, reason)
    where c.id = n.id and c.state <> 'disabled' and c.deleted_at is null
    returning c.id, n.reason`.execute(trx);
  await noteChanges(trx, action, rows);
  return rows.map(({ id }) => id);
}

/** Holds consumers that may have to be disabled, before their health is locked. */
export async function lockConsumers(trx: Queries, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  await sql`select id from consumers where id = any(${ids}) order by id for no key update`.execute(trx);
}
