import { sql } from 'kysely';
import type { Queries } from './database.ts';

/** At a time: whoever settles deliveries of the same consumer waits for no longer than that takes. */
export const BURIAL = 1000;

/**
 * Makes dead letters of what is pending for consumers that are deleted, no more than `BURIAL`, and resolves with how
 * many. Passes over what others hold, and so waits for nobody.
 */
export async function bury(trx: Queries, consumerIds: readonly string[]): Promise<number> {
  if (consumerIds.length === 0) return 0;
  const { numAffectedRows } = await sql`
    with leftovers as materialized (
      select d.id from unnest(${consumerIds}::text[]) as c (id) cross join lateral (
        select id from deliveries where consumer_id = c.id and status = 'pending'
        order by next_attempt_at limit ${BURIAL} for no key update skip locked
      ) d limit ${BURIAL}
    )
    update deliveries d set status = 'dead', cause = 'consumer_deleted', settled_at = clock_timestamp(), token = null
    from leftovers where d.id = leftovers.id`.execute(trx);
  return Number(numAffectedRows ?? 0);
}
