import { z } from 'zod';
import { type ApiClient, ApiRefusal } from '../api-client.ts';
import { forEachBounded } from '../../bounded.ts';
import type { CatalogEntry } from './csv-orders.ts';

export interface WantedItem {
  readonly sku: string;
  readonly description: string;
  readonly priceMinor: number;
  readonly currency: string;
  /** Pieces to begin with, where there is no stock of it yet. */
  readonly onHand: number;
}

export interface EnsuredItem {
  readonly priceMinor: number;
  readonly currency: string;
  readonly createdItem: boolean;
  readonly createdStock: boolean;
}

const catalogItem = z.object({ priceMinor: z.int(), currency: z.string() });
const stockLevel = z.object({ onHand: z.int(), reserved: z.int(), locations: z.array(z.unknown()) });

/**
 * Puts an article into the catalogue with its stock. What is there already stays as it is, price and pieces: doing it
 * again changes nothing. Throws what the client throws.
 */
export async function ensureItem(client: ApiClient, item: WantedItem): Promise<EnsuredItem> {
  const { sku, description, priceMinor, currency, onHand } = item;
  const found = await findItem(client, sku);
  if (!found) await client.put(`/v1/catalog/${encodeURIComponent(sku)}`, { description, priceMinor, currency });
  const stockPath = `/v1/stock/${encodeURIComponent(sku)}`;
  const level = await unlessMissing(async () => stockLevel.parse((await client.get(stockPath)).body));
  const createdStock = level === undefined || level.locations.length === 0;
  if (createdStock) await client.put(stockPath, { onHand });
  return { ...(found ?? { priceMinor, currency }), createdItem: !found, createdStock };
}

interface CatalogOptions {
  readonly currency: string;
  readonly concurrency: number;
  readonly signal: AbortSignal;
  readonly onDone: () => void;
}

export interface CatalogCounts {
  itemsCreated: number;
  itemsFound: number;
  stockCreated: number;
}

/** Ensures all `items`; an article that the API refuses is unusable and stops nothing. */
export async function ensureCatalog(client: ApiClient, items: Iterable<WantedItem>, options: CatalogOptions) {
  const counts: CatalogCounts = { itemsCreated: 0, itemsFound: 0, stockCreated: 0 };
  const entries = await entriesOf(items, options, async (item) => {
    const ensured = await ensureItem(client, item);
    counts[ensured.createdItem ? 'itemsCreated' : 'itemsFound'] += 1;
    if (ensured.createdStock) counts.stockCreated += 1;
    return ensured;
  });
  return { entries, counts };
}

/** Asks the catalogue for each SKU; one that it does not have is absent from the answer. */
export async function lookUpCatalog(
  client: ApiClient,
  skus: Iterable<{ readonly sku: string }>,
  options: CatalogOptions,
) {
  return entriesOf(skus, options, ({ sku }) => findItem(client, sku));
}

async function entriesOf<T extends { readonly sku: string }>(
  items: Iterable<T>,
  { currency, concurrency, signal, onDone }: CatalogOptions,
  ask: (item: T) => Promise<{ readonly priceMinor: number; readonly currency: string } | undefined>,
): Promise<ReadonlyMap<string, CatalogEntry>> {
  const entries = new Map<string, CatalogEntry>();
  await forEachBounded(items, { concurrency, signal }, async (item) => {
    const entry = await entryOf(() => ask(item), currency);
    if (entry) entries.set(item.sku, entry);
    onDone();
  });
  return entries;
}

async function entryOf(
  ask: () => Promise<{ readonly priceMinor: number; readonly currency: string } | undefined>,
  currency: string,
): Promise<CatalogEntry | undefined> {
  try {
    const found = await ask();
    if (!found) return undefined;
    if (found.currency === currency) return { priceMinor: found.priceMinor };
    return { unusable: { label: 'its price in the catalogue is in another currency', detail: found.currency } };
  } catch (error) {
    if (!(error instanceof ApiRefusal && error.code === 'invalid_input')) throw error;
    return { unusable: { label: 'the catalogue does not take this StockCode', detail: error.message } };
  }
}

async function findItem(client: ApiClient, sku: string) {
  const path = `/v1/catalog/${encodeURIComponent(sku)}`;
  return unlessMissing(async () => catalogItem.parse((await client.get(path)).body));
}

async function unlessMissing<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof ApiRefusal && error.code === 'not_found') return undefined;
    throw error;
  }
}
