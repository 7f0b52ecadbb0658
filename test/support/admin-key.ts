import { postgresApiKeys } from '../../src/adapters/postgres/api-keys.ts';
import { connect } from '../../src/adapters/postgres/database.ts';

/** A new API key of an admin, in that database. */
export async function adminKey(databaseUrl: string): Promise<string> {
  const db = connect(databaseUrl, { pool: 1 });
  try {
    const wanted = { name: 'test', roles: ['admin'], validDays: 30, actor: 'test' } as const;
    return (await postgresApiKeys(db).create(wanted)).key;
  } finally {
    await db.destroy();
  }
}
