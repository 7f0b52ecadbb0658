import { Client } from 'pg';
import { expect, test } from 'vitest';
import { testDatabase } from '../support/postgres.ts';

async function tables(url: string): Promise<readonly string[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const sql = `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'`;
    return (await client.query<{ name: string }>(sql)).rows.map(({ name }) => name);
  } finally {
    await client.end();
  }
}

test('databases asked for at the same time are migrated, apart from each other, and can be dropped', async () => {
  const databases = await Promise.all(Array.from({ length: 8 }, () => testDatabase()));
  const [first, second] = databases;
  if (!first || !second) throw new Error('no database was made');
  expect(new Set(databases.map(({ url }) => url)).size).toBe(8);
  expect(await tables(second.url)).toContain('orders');

  const client = new Client({ connectionString: first.url });
  // Dropped under its feet, on purpose.
  client.on('error', () => undefined);
  await client.connect();
  await client.query('CREATE TABLE mine ()');
  expect(await tables(second.url)).not.toContain('mine');

  await Promise.all(databases.map((database) => database.drop()));
  await client.end().catch(() => undefined);
  await expect(tables(first.url)).rejects.toThrow('does not exist');
});
