import { createHmac } from 'node:crypto';
import { Client } from 'pg';
import { APPLICATION_ROLE } from '../adapters/postgres/roles.ts';

const LOGIN = 'evenkeel';

/**
 * Makes the login that the application uses in a PostgreSQL of our own, in the group that `grantApplication` made, and
 * resolves with its URL of the same database. Its password follows from the superuser's: it stays the same, and is
 * written nowhere.
 */
export async function ensureApplicationLogin(superuserUrl: string): Promise<string> {
  const url = new URL(superuserUrl);
  const password = createHmac('sha256', url.password).update(`login ${LOGIN}`).digest('base64url');
  const client = new Client({ connectionString: superuserUrl });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rowCount } = await client.query('select 1 from pg_roles where rolname = $1', [LOGIN]);
    const verb = rowCount === 0 ? 'create' : 'alter';
    await client.query(`${verb} role ${LOGIN} login password ${client.escapeLiteral(password)}`);
    await client.query(`grant ${APPLICATION_ROLE} to ${LOGIN}`);
  } finally {
    await client.end();
  }
  url.username = LOGIN;
  url.password = password;
  return url.href;
}
