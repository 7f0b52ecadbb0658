import { type RawBuilder, sql } from 'kysely';
import type { Rate, Rates } from '../../domain/overload-ports.ts';
import type { Database } from './database.ts';

/** Token buckets by the database's clock; each lease is one statement under the row's lock. */
export function postgresRates(db: Database): Rates {
  return {
    lease: (caller, wanted, rate) =>
      db.read(async (queries) => {
        const { rows } = await sql<{ leased: number }>`
          insert into rates as r (caller, tokens, leased)
          select ${caller}, tokens - granted, granted
          from (select ${rate.burst}::float8 as tokens) filled, ${grantedOf(wanted)}
          on conflict (caller) do update set (tokens, leased, filled_at) = (
            select filled.tokens - granted, granted, clock_timestamp()
            from (select ${filled(rate)} as tokens) filled, ${grantedOf(wanted)}
          )
          returning leased`.execute(queries);
        return rows[0]?.leased ?? 0;
      }),
    prune: (rate) =>
      db.read(async (queries) => {
        const { numAffectedRows } = await sql`
          delete from rates r where ${filled(rate)} >= ${rate.burst}::float8`.execute(queries);
        return Number(numAffectedRows ?? 0n);
      }),
  };
}

function filled({ perSecond, burst }: Rate): RawBuilder<number> {
  return sql`least(${burst}::float8,
    r.tokens + greatest(0, extract(epoch from clock_timestamp() - r.filled_at)::float8) * ${perSecond}::float8)`;
}

/** Half of what is there, for another process may want the rest. */
function grantedOf(wanted: number): RawBuilder<unknown> {
  return sql`lateral (select least(${wanted}::int, ceil(floor(filled.tokens) / 2)::int) as granted) g`;
}
