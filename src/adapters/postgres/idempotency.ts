import { sql } from 'kysely';
import type { Created } from '../../domain/consumer-ports.ts';
import { DomainFailure } from '../../domain/failures.ts';
import type { Idempotency } from '../../domain/order-ports.ts';
import type { Database, Queries } from './database.ts';

/** How long a first answer is repeated word for word. */
export const memory = sql`interval '72 hours'`;

/**
 * Creates what `work` creates, once per key: whoever comes with the same key and body within 72 h gets the first answer,
 * `work`'s value as JSON. A request that fails claims nothing. Throws `idempotency_key_reused`,
 * `idempotency_in_progress`, and what `work` throws.
 */
export function createOnce<T>(
  db: Database,
  route: string,
  idempotency: Idempotency,
  work: (trx: Queries) => Promise<T>,
): Promise<Created<T>> {
  return db.transaction(async (trx): Promise<Created<T>> => {
    await claimKey(trx, route, idempotency);
    const answer = await findAnswer(trx, route, idempotency);
    if (answer !== undefined) return { kind: 'replayed', answer };
    const value = await work(trx);
    await rememberAnswer(trx, route, idempotency, JSON.stringify(value), null);
    return { kind: 'created', value };
  });
}

/** Held until the transaction ends, so that of several requests with one key one works and the others are told so. */
export async function claimKey(trx: Queries, route: string, { caller, key }: Idempotency): Promise<void> {
  const scope = JSON.stringify([caller, route, key]);
  const { rows } = await sql<{ claimed: boolean }>`
    select pg_try_advisory_xact_lock(hashtextextended(${scope}, 0)) as claimed`.execute(trx);
  if (rows[0]?.claimed === true) return;
  throw new DomainFailure(
    'idempotency_in_progress',
    'A request with this Idempotency-Key is being worked on. Repeat it in a second to get its answer.',
    { retryAfterMs: 1000 },
  );
}

async function findAnswer(trx: Queries, route: string, idempotency: Idempotency): Promise<string | undefined> {
  const { caller, key, bodyHash } = idempotency;
  const row = await trx
    .selectFrom('idempotency_answers')
    .select(['body_hash', 'answer'])
    .where('caller', '=', caller)
    .where('route', '=', route)
    .where('key', '=', key)
    .where('created_at', '>', sql<Date>`clock_timestamp() - ${memory}`)
    .executeTakeFirst();
  if (row === undefined || row.body_hash === bodyHash) return row?.answer;
  throw new DomainFailure(
    'idempotency_key_reused',
    `Idempotency-Key '${key}' belongs to a request with another body. Use a new key for another one.`,
  );
}

/**
 * Takes the chance to forget a few answers past their time, so that the table needs no upkeep of its own. An earlier
 * answer to the same key is past its time too, if it is there still.
 */
export async function rememberAnswer(
  trx: Queries,
  route: string,
  { caller, key, bodyHash }: Idempotency,
  answer: string,
  orderId: string | null,
): Promise<void> {
  await sql`
    with forgotten as (
      delete from idempotency_answers where ctid = any(array(
        select ctid from idempotency_answers where created_at <= clock_timestamp() - ${memory} and key <> ${key}
        order by created_at limit 10 for update skip locked
      ))
    )
    insert into idempotency_answers (caller, route, key, body_hash, order_id, answer)
    values (${caller}, ${route}, ${key}, ${bodyHash}, ${orderId}, ${answer})
    on conflict (caller, route, key) do update set body_hash = excluded.body_hash, order_id = excluded.order_id,
      answer = excluded.answer, created_at = excluded.created_at`.execute(trx);
}
