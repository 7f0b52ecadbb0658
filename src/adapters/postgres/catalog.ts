import { sql } from 'kysely';
import { DomainFailure } from '../../domain/failures.ts';
import type { Catalog, CatalogItem, StockLevel } from '../../domain/order-ports.ts';
import type { Database, Queries } from './database.ts';

const itemColumns = ['sku', 'description', 'price_minor as priceMinor', 'currency'] as const;

export function postgresCatalog(db: Database): Catalog {
  return {
    put: ({ sku, description, priceMinor, currency }) =>
      db.read((queries) =>
        queries
          .insertInto('catalog')
          .values({ sku, description, price_minor: priceMinor, currency })
          .onConflict((conflict) =>
            conflict.column('sku').doUpdateSet({
              description,
              price_minor: priceMinor,
              currency,
              updated_at: sql`clock_timestamp()`,
            }),
          )
          .returning(itemColumns)
          .executeTakeFirstOrThrow(),
      ),
    find: (sku) => db.read((queries) => findItem(queries, sku)),
    isEmpty: () =>
      db.read(async (queries) => {
        const item = await queries.selectFrom('catalog').select('sku').limit(1).executeTakeFirst();
        return item === undefined;
      }),
    putStock: (sku, location, onHand) => db.transaction((trx) => putStock(trx, sku, location, onHand)),
    findStock: (sku) => db.read((queries) => findStock(queries, sku)),
  };
}

function findItem(queries: Queries, sku: string): Promise<CatalogItem | undefined> {
  return queries.selectFrom('catalog').select(itemColumns).where('sku', '=', sku).executeTakeFirst();
}

async function putStock(trx: Queries, sku: string, location: string, onHand: number): Promise<StockLevel> {
  if ((await findItem(trx, sku)) === undefined) {
    throw new DomainFailure('not_found', `There is no SKU '${sku}' in the catalog. Put it there first.`);
  }
  const { numAffectedRows } = await sql`
    insert into stock (sku, location, on_hand) values (${sku}, ${location}, ${onHand})
    on conflict (sku, location) do update set on_hand = excluded.on_hand
    where stock.reserved <= excluded.on_hand`.execute(trx);
  const level = await findStock(trx, sku);
  if (level === undefined || Number(numAffectedRows ?? 0) === 0) {
    const reserved = level?.locations.find((at) => at.location === location)?.reserved ?? 0;
    throw new DomainFailure(
      'conflict',
      `${reserved} of SKU '${sku}' are reserved in location '${location}': onHand cannot be ${onHand}.`,
    );
  }
  return level;
}

/** Undefined for an unknown SKU; one that is known but was never in stock has no locations. */
async function findStock(queries: Queries, sku: string): Promise<StockLevel | undefined> {
  const { rows } = await sql<{ location: string | null; onHand: number; reserved: number }>`
    select s.location, s.on_hand as "onHand", s.reserved from catalog c left join stock s using (sku)
    where c.sku = ${sku} order by s.location`.execute(queries);
  if (rows.length === 0) return undefined;
  const locations = rows.flatMap(({ location, ...level }) => (location === null ? [] : [{ location, ...level }]));
  return {
    sku,
    onHand: locations.reduce((sum, { onHand }) => sum + onHand, 0),
    reserved: locations.reduce((sum, { reserved }) => sum + reserved, 0),
    locations,
  };
}
