import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { inject } from 'vitest';
import { migrate } from '../../src/adapters/postgres/migrate.ts';

export interface TestDatabase {
  readonly url: string;
  /** Closes whatever is connected to it. */
  drop(): Promise<void>;
}

const TEMPLATE = 'evenkeel_template';
/** Any number of our own: files that run side by side build the template once. */
const TEMPLATE_LOCK = 7_233_001;

/** A database of its own with the current schema and no rows, copied from a template that is migrated once per run. */
export async function testDatabase(): Promise<TestDatabase> {
  const admin = inject('databaseUrl');
  const name = `test_${randomBytes(6).toString('hex')}`;
  await withClient(admin, async (client) => {
    await client.query('SELECT pg_advisory_lock($1)', [TEMPLATE_LOCK]);
    try {
      await buildTemplate(client, admin);
      await client.query(`CREATE DATABASE ${name} TEMPLATE ${TEMPLATE}`);
    } finally {
      await client.query('SELECT pg_advisory_unlock($1)', [TEMPLATE_LOCK]);
    }
  });
  return {
    url: urlOf(admin, name),
    drop: () =>
      withClient(admin, async (client) => {
        await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      }),
  };
}

async function buildTemplate(client: Client, admin: string): Promise<void> {
  const { rows } = await client.query<{ whole: boolean }>(
    'SELECT datistemplate AS whole FROM pg_database WHERE datname = $1',
    [TEMPLATE],
  );
  if (rows[0]?.whole) return;
  // Left by a file whose migration failed.
  if (rows[0]) await client.query(`DROP DATABASE ${TEMPLATE} WITH (FORCE)`);
  await client.query(`CREATE DATABASE ${TEMPLATE}`);
  await migrate(urlOf(admin, TEMPLATE));
  // Nobody may connect: a database in use cannot be copied.
  await client.query(`ALTER DATABASE ${TEMPLATE} IS_TEMPLATE true ALLOW_CONNECTIONS false`);
}

export async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

function urlOf(url: string, database: string): string {
  const other = new URL(url);
  other.pathname = `/${database}`;
  return other.href;
}
