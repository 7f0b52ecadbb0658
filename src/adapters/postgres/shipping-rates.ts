import { sql } from 'kysely';
import type { Rate, ShippingRates } from '../../domain/shipping-quotes.ts';
import { type Database, ago } from './database.ts';

interface RateRow {
  readonly amount_minor: number;
  readonly quoted_at: Date;
}

export function postgresShippingRates(db: Database): ShippingRates {
  return {
    remember: ({ country, currency, items }, amountMinor) =>
      db.read(async (queries) => {
        const { rows } = await sql<RateRow>`
          insert into shipping_rates (country, items, currency, amount_minor)
          values (${country}, ${items}, ${currency}, ${amountMinor})
          on conflict (country, items, currency) do update
            set amount_minor = excluded.amount_minor, quoted_at = excluded.quoted_at
          returning amount_minor, quoted_at`.execute(queries);
        const [row] = rows;
        if (row === undefined) throw new Error('a rate that was written is not there');
        return rateOf(row);
      }),
    lastKnown: ({ country, currency, items }, olderThanMs) =>
      db.read(async (queries) => {
        const { rows } = await sql<RateRow>`
          select amount_minor, quoted_at from shipping_rates
          where country = ${country} and items = ${items} and currency = ${currency}
            and quoted_at > ${ago(olderThanMs)}`.execute(queries);
        return rows[0] && rateOf(rows[0]);
      }),
    prune: (olderThanMs) =>
      db.read(async (queries) => {
        await sql`delete from shipping_rates where quoted_at <= ${ago(olderThanMs)}`.execute(queries);
      }),
  };
}

function rateOf({ amount_minor: amountMinor, quoted_at: quotedAt }: RateRow): Rate {
  return { amountMinor, quotedAt: quotedAt.toISOString() };
}
