import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { sql } from 'kysely';
import { httpQuotes } from '../../src/adapters/http/quotes.ts';
import { postgresShippingRates } from '../../src/adapters/postgres/shipping-rates.ts';
import { rememberedQuotes } from '../../src/domain/shipping-quotes.ts';
import { newPostgresStores } from '../support/postgres-stores.ts';
import { type TestSandbox, startSandbox } from '../support/sandbox.ts';

let stores: Awaited<ReturnType<typeof newPostgresStores>>;
let sandbox: TestSandbox;
let quotes: ReturnType<typeof httpQuotes>;
const told: string[] = [];
beforeAll(async () => {
  [stores, sandbox] = await Promise.all([newPostgresStores(), startSandbox()]);
  quotes = httpQuotes(sandbox.url);
});
afterEach(async () => {
  await sandbox.clearFaults();
  await stores.db.transaction((trx) => trx.deleteFrom('shipping_rates').execute());
  told.length = 0;
});
afterAll(async () => {
  await quotes.close();
  await Promise.all([stores.stop(), sandbox.stop()]);
});

const items = [
  { sku: 'A', quantity: 2 },
  { sku: 'B', quantity: 1 },
];
const request = { country: 'GB', currency: 'GBP', items };
const ask = (asked = request) =>
  rememberedQuotes(quotes, postgresShippingRates(stores.db), () => told.push('fell back')).quote(asked, {
    signal: AbortSignal.timeout(2_000),
  });
const age = (interval: string) =>
  stores.db.transaction((trx) =>
    sql`update shipping_rates set quoted_at = quoted_at - ${interval}::interval`.execute(trx),
  );

test('the carrier is asked as long as it answers', async () => {
  const quoted = { amountMinor: 525, currency: 'GBP', source: 'carrier', quotedAt: expect.stringMatching(/Z$/) };
  expect(await ask()).toEqual(quoted);
  expect(await ask()).toEqual(quoted);
  expect(told).toEqual([]);
});

test.each([
  ['is away', { kind: 'error' }],
  ['limits our rate', { kind: 'rate_limit' }],
  ['cuts the connection', { kind: 'reset' }],
  ['never answers', { kind: 'timeout' }],
  ['answers what its contract does not know', { kind: 'lie' }],
] as const)('the last known quote is told as such, with its date, while the carrier %s', async (_what, fault) => {
  const { quotedAt } = await ask();
  await sandbox.addFault({ dependency: 'carrier', operation: 'quote', ...fault });
  const as = { amountMinor: 525, currency: 'GBP', source: 'last_known', quotedAt };
  expect(await ask()).toEqual(as);
  // As many pieces of other articles.
  expect(await ask({ ...request, items: [{ sku: 'C', quantity: 3 }] })).toEqual(as);
  expect(told).toEqual(['fell back', 'fell back']);
});

test.each([
  ['to another country', { ...request, country: 'FR' }],
  ['in another currency', { ...request, currency: 'EUR' }],
  ['of another number of pieces', { ...request, items: items.slice(1) }],
])('a quote %s is not guessed from a known one', async (_what, other) => {
  await ask();
  await sandbox.addFault({ dependency: 'carrier', operation: 'quote', kind: 'error', retryAfterSeconds: 7 });
  await expect(ask(other)).rejects.toMatchObject({ code: 'provider_unavailable', retryAfterMs: 7_000 });
  expect(told).toEqual([]);
});

test('a quote of thirty days ago is not used any more, and one just younger is', async () => {
  await ask();
  await sandbox.addFault({ dependency: 'carrier', operation: 'quote', kind: 'error' });
  await age('29 days 23 hours');
  expect(await ask()).toMatchObject({ source: 'last_known' });
  await age('1 hour');
  await expect(ask()).rejects.toMatchObject({ code: 'provider_unavailable', retryAfterMs: 10_000 });
});

test('the newest quote is the one that is remembered', async () => {
  const first = await ask();
  await age('1 day');
  const { quotedAt } = await ask();
  expect(Date.parse(quotedAt)).toBeGreaterThanOrEqual(Date.parse(first.quotedAt));
  await sandbox.addFault({ dependency: 'carrier', operation: 'quote', kind: 'error' });
  expect(await ask()).toMatchObject({ quotedAt });
});

test('where the carrier does not go is said so, and not remembered', async () => {
  await expect(ask({ ...request, country: 'AQ' })).rejects.toMatchObject({
    code: 'invalid_input',
    errors: [{ pointer: '/country' }],
  });
});

test('what is too old to be told is forgotten, and nothing else', async () => {
  await ask();
  const kept = async () =>
    (await stores.db.read((queries) => queries.selectFrom('shipping_rates').selectAll().execute())).length;
  await postgresShippingRates(stores.db).prune(60_000);
  expect(await kept()).toBe(1);
  await age('2 minutes');
  await postgresShippingRates(stores.db).prune(60_000);
  expect(await kept()).toBe(0);
});
