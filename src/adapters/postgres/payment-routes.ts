import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { PaymentRoute, PaymentRoutes } from '../../domain/provider-ports.ts';
import type { Database, Queries } from './database.ts';

/** `longestAttemptMs`: what was sent that long ago has landed by now, or never will. */
export function postgresPaymentRoutes(db: Database, longestAttemptMs: number): PaymentRoutes {
  return {
    async open(key, orderId, providers) {
      const attempt = randomUUID();
      const [first] = providers;
      if (first === undefined) throw new TypeError('a key needs a provider to go to');
      // Nearly every key: one statement, and the index of those not cleared settles who of two was the first.
      const { rows } = await db.read((queries) =>
        sql`insert into payment_routes (key, provider, order_id, attempts)
          select ${key}, ${first}, ${orderId}, array[${attempt}::text]
          where not exists (select from payment_routes where key = ${key})
          on conflict do nothing returning key`.execute(queries),
      );
      if (rows.length > 0) return { provider: first, attempt, isNew: true };
      return db.transaction(async (trx) => ({ ...(await join(trx, { key, orderId, providers, attempt })), attempt }));
    },

    withdraw: (key, { provider, attempt }) =>
      db.read(async (queries) => {
        const { rows } = await sql<{ is_cleared: boolean }>`
          update payment_routes set attempts = array_remove(attempts, ${attempt}),
            cleared_at = case when cardinality(attempts) = 1 then clock_timestamp() end
          where key = ${key} and provider = ${provider} and cleared_at is null and ${attempt} = any (attempts)
          returning cleared_at is not null as is_cleared`.execute(queries);
        return rows[0]?.is_cleared ?? false;
      }),

    find: (key) =>
      db.read(async (queries) => {
        const { rows } = await sql<PaymentRoute>`
          select provider, attempts, cleared_at is not null as cleared,
            sent_at < clock_timestamp() - ${longestAttemptMs} * interval '1 millisecond' as "isOver"
          from payment_routes where key = ${key} order by sent_at`.execute(queries);
        return rows;
      }),

    clear: (key, { provider, attempts }) =>
      db.read(async (queries) => {
        await sql`
          update payment_routes set attempts = '{}', cleared_at = clock_timestamp(),
            look_again_at = clock_timestamp() + interval '1 minute'
          where key = ${key} and provider = ${provider} and cleared_at is null
            and attempts = ${attempts}::text[]`.execute(queries);
      }),

    suspect: (key, ownerOf) =>
      db.read(async (queries) => {
        const { rows } = await sql<{ id: string | null }>`
          select coalesce(input->>'authorizationId', input->>'captureId') as id
          from effects where key = ${key} and requested_at is not null`.execute(queries);
        const [requested] = rows;
        if (requested === undefined) return undefined;
        const provider = ownerOf(requested.id ?? undefined);
        await sql`
          insert into payment_routes (key, provider, order_id, attempts)
          select key, ${provider}, order_id, array['unknown'] from effects
          where key = ${key} and requested_at is not null
            and not exists (select from payment_routes where key = ${key})
          on conflict do nothing`.execute(queries);
        return provider;
      }),

    doubtful: (limit) =>
      db.read(async (queries) => {
        const { rows } = await sql<{ orderId: string; key: string }>`
          update payment_routes set look_again_at = case when cleared_at > clock_timestamp() - interval '1 day'
            then clock_timestamp() + (clock_timestamp() - cleared_at) end
          where (key, provider) in (
            select key, provider from payment_routes where look_again_at <= clock_timestamp()
            order by look_again_at limit ${limit} for update skip locked)
          returning order_id as "orderId", key`.execute(queries);
        return rows;
      }),
    strangers: (providers) =>
      db.read(async (queries) => {
        const { rows } = await sql<{ provider: string }>`
          select distinct r.provider from payment_routes r join orders o on o.id = r.order_id
          where r.cleared_at is null and o.finished_at is null and r.provider <> all(${[...providers]})
          order by r.provider`.execute(queries);
        return rows.map(({ provider }) => provider);
      }),
  };
}

interface Joining {
  readonly key: string;
  readonly orderId: string;
  readonly providers: readonly string[];
  readonly attempt: string;
}

/** A key that is with a provider, or was. */
async function join(
  trx: Queries,
  { key, orderId, providers, attempt }: Joining,
): Promise<{ readonly provider: string; readonly isNew: boolean }> {
  // Not the rows alone: what must not come to be twice is the next one.
  await sql`select pg_advisory_xact_lock(hashtextextended('evenkeel route ' || ${key}, 0))`.execute(trx);
  const { rows } = await sql<{ provider: string }>`
    update payment_routes set attempts = attempts || ${attempt}::text, sent_at = clock_timestamp()
    where key = ${key} and cleared_at is null returning provider`.execute(trx);
  if (rows[0] !== undefined) return { provider: rows[0].provider, isNew: false };
  const { rows: former } = await sql<{ provider: string }>`
    select provider from payment_routes where key = ${key} order by sent_at`.execute(trx);
  const known = former.map(({ provider }) => provider);
  const untried = providers.find((provider) => !known.includes(provider));
  const provider = untried ?? known.find((candidate) => providers.includes(candidate)) ?? providers[0] ?? '';
  await sql`
    insert into payment_routes (key, provider, order_id, attempts)
    values (${key}, ${provider}, ${orderId}, array[${attempt}::text])
    on conflict (key, provider) do update set attempts = excluded.attempts, sent_at = clock_timestamp(),
      cleared_at = null, look_again_at = null`.execute(trx);
  return { provider, isNew: untried !== undefined };
}
