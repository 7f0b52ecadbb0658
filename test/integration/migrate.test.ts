/** That the schema is brought up to date while orders change, whoever is interrupted. */
import { Kysely, PostgresDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import { Client, Pool } from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { migrate } from '../../src/adapters/postgres/migrate.ts';
import { ordersMigration } from '../../src/adapters/postgres/migrations/0001-orders.ts';
import { deliveryMigration } from '../../src/adapters/postgres/migrations/0002-delivery.ts';
import { testDatabase } from '../support/postgres.ts';
import { times } from '../support/store-conformance/shop.ts';

let url: string;
let drop: () => Promise<void>;
let clients: Client[];

beforeEach(async () => {
  ({ drop, url } = await testDatabase());
  clients = [];
  const client = await anotherClient();
  await client.query('drop schema public cascade; create schema public');
});
afterEach(async () => {
  await Promise.all(clients.map((client) => client.end()));
  await drop();
});

async function anotherClient(): Promise<Client> {
  const client = new Client({ connectionString: url, application_name: 'test' });
  clients.push(client);
  await client.connect();
  return client;
}

/** The schema of the release before, and two orders. */
async function formerRelease(): Promise<void> {
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool: new Pool({ connectionString: url }) }) });
  const migrations = { '0001-orders': ordersMigration, '0002-delivery': deliveryMigration };
  const migrator = new Migrator({ db, provider: { getMigrations: () => Promise.resolve(migrations) } });
  const { error } = await migrator.migrateToLatest();
  await db.destroy();
  if (error !== undefined) throw error;
  const client = await anotherClient();
  for (const id of ['o1', 'o2']) {
    await client.query(
      `insert into orders (id, caller, idempotency_key, body_hash, customer_id, currency, total_minor, payment_token,
         shipping_address, created_at, updated_at)
       values ($1, 'd', $1, 'h', 'c', 'EUR', 1, 't', '{}', now(), now())`,
      [id],
    );
  }
}

async function count(client: Client, what: string): Promise<number> {
  const { rows } = await client.query<{ count: number }>(`select count(*)::int as count ${what}`);
  return rows[0]?.count ?? 0;
}

const unfinished = 'from pg_index where not indisvalid';

test('orders change while indexes are built: neither waits for the other for ever, and nobody deadlocks', async () => {
  await formerRelease();
  const [step, other] = [await anotherClient(), await anotherClient()];
  for (const client of [step, other]) await client.query(`set lock_timeout = '5s'`);
  // As a step does it: the order's row is held, and one table after the other is written to.
  await step.query(`begin; select * from orders where id = 'o1' for update`);
  await step.query(`insert into effects (key, order_id, kind) values ('k1', 'o1', 'authorize')`);
  const migrated = migrate(url);
  await expect
    .poll(() =>
      count(
        other,
        `from pg_stat_activity where application_name = 'evenkeel-migrate' and state = 'active'
      and wait_event_type = 'Lock' and datname = current_database()`,
      ),
    )
    .toBe(1);
  // It may have to wait for the step, as the migration does, and for no longer.
  const changed = other.query(`update orders set version = 2 where id = 'o2'`);
  await step.query(`insert into attentions (order_id, id, step, reason, allowed, opened_at)
    values ('o1', 'a1', 'authorize', 'x', '[]', now())`);
  await step.query(`update orders set version = 2 where id = 'o1'; commit`);
  await Promise.all([migrated, changed]);
  expect(await count(other, 'from orders where version = 2')).toBe(2);
  expect(await count(other, unfinished)).toBe(0);
  expect(await count(other, `from pg_class where relname in ('attentions_opened', 'deliveries_oldest')`)).toBe(2);
});

test('what was left unfinished is built by the next one', async () => {
  await migrate(url);
  const client = await anotherClient();
  // What an interrupted build leaves.
  await client.query(`update pg_index set indisvalid = false where indexrelid = 'orders_ended'::regclass`);
  await client.query('drop index attentions_closed');
  await migrate(url);
  expect(await count(client, unfinished)).toBe(0);
  expect(await count(client, `from pg_class where relname in ('orders_ended', 'attentions_closed')`)).toBe(2);
});

test('it may be run by any number of processes at a time, and again', async () => {
  await Promise.all(times(5, () => migrate(url)));
  await migrate(url);
  const client = await anotherClient();
  const { rows } = await client.query<{ name: string }>('select name from kysely_migration order by name');
  expect(rows.map(({ name }) => name)).toEqual([
    '0001-orders',
    '0002-delivery',
    '0003-objectives',
    '0004-facts',
    '0005-resilience',
  ]);
  expect(await count(client, unfinished)).toBe(0);
});

test('a program of before goes on with the schema of a newer one, and says so', async () => {
  expect(await migrate(url)).toEqual([]);
  const client = await anotherClient();
  await client.query(
    `insert into kysely_migration (name, timestamp) values ('9998-later', now()), ('9999-last', now())`,
  );
  expect(await migrate(url)).toEqual(['9998-later', '9999-last']);
  expect(await count(client, 'from kysely_migration')).toBe(7);
});

test.each([
  ['one of its own was left out by a newer program', `delete from kysely_migration where name = '0003-objectives'`],
  [
    'one that it does not know ran before its last',
    `update kysely_migration set name = '0003-a' where name like '0003%'`,
  ],
])('it refuses a schema where %s', async (_, change) => {
  await migrate(url);
  const client = await anotherClient();
  await client.query(`insert into kysely_migration (name, timestamp) values ('9999-later', now())`);
  await client.query(change);
  await expect(migrate(url)).rejects.toThrow('corrupted migrations');
});
