import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { postgresRecipients } from '../../src/adapters/postgres/recipients.ts';
import type { Recipients } from '../../src/domain/delivery-ports.ts';
import { newPostgresStores } from '../support/postgres-stores.ts';
import { address, shopOf } from '../support/store-conformance/shop.ts';

/** Where mails about an order go: to the address that it was made with, and to nobody once that was erased. */
let made: Awaited<ReturnType<typeof newPostgresStores>>;
let recipients: Recipients;

beforeAll(async () => {
  made = await newPostgresStores();
  recipients = postgresRecipients(made.db);
});
afterAll(() => made.stop());

async function newOrder(email?: string): Promise<string> {
  const order = {
    customerId: 'ada',
    currency: 'GBP',
    items: [{ sku: await shopOf(made.stores).sku(), quantity: 1 }],
    payment: { token: 'tok_visa' },
    shippingAddress: address,
    ...(email === undefined ? {} : { email }),
  };
  const idempotency = { caller: 'c', key: randomUUID(), bodyHash: 'h' };
  const accepted = await made.stores.intake.accept(order, idempotency, undefined);
  if (accepted.kind !== 'created') throw new Error('it was there before');
  expect(JSON.stringify(accepted.order)).not.toContain('example.com');
  return accepted.order.id;
}

const write = (query: ReturnType<typeof sql>) => made.db.transaction((trx) => query.execute(trx));

test('an order’s mails go to its address, and to nobody where it has none or is not ours', async () => {
  expect(await recipients.find(await newOrder('ada@example.com'))).toBe('ada@example.com');
  expect(await recipients.find(await newOrder())).toBeUndefined();
  expect(await recipients.find(randomUUID())).toBeUndefined();
});

test('they go to nobody once the customer was erased, whatever is left of the order', async () => {
  const id = await newOrder('ada@example.com');
  await write(sql`update orders set erased_at = clock_timestamp() where id = ${id}`);
  expect(await recipients.find(id)).toBeUndefined();
});

test('an address that was put right is used from then on', async () => {
  const id = await newOrder('adda@example.com');
  await write(sql`update orders set email = 'ada@example.com' where id = ${id}`);
  expect(await recipients.find(id)).toBe('ada@example.com');
});
