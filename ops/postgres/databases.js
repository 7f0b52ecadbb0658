// The roles and databases of the stack: each role owns what is its own, with the password of today, and enters nothing
// else. Safe to repeat. Run by the superuser of SUPERUSER_URL_FILE; passwords come from PASSWORDS_DIR/<role>-password.
import { readFileSync } from 'node:fs';
import { Client } from 'pg';

const databases = { evenkeel: ['evenkeel'], temporal: ['temporal', 'temporal_visibility'] };
/** Who uses what another owns, and the group by which it may: 'evenkeel migrate' grants that group what it needs. */
const users = { evenkeel_login: { group: 'evenkeel_app', database: 'evenkeel' } };

const read = (file) => readFileSync(file, 'utf8').trim();
const { SUPERUSER_URL_FILE: urlFile, PASSWORDS_DIR: passwords } = process.env;
if (!urlFile || !passwords) throw new Error('set SUPERUSER_URL_FILE and PASSWORDS_DIR');

const client = new Client({ connectionString: read(urlFile) });
await client.connect();
const isThere = async (role) => (await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [role])).rowCount > 0;
const login = async (role) => {
  const name = client.escapeIdentifier(role);
  const password = client.escapeLiteral(read(`${passwords}/${role}-password`));
  await client.query(`${(await isThere(role)) ? 'ALTER' : 'CREATE'} ROLE ${name} LOGIN PASSWORD ${password}`);
  return name;
};
try {
  for (const [role, owned] of Object.entries(databases)) {
    const name = await login(role);
    for (const database of owned) {
      const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
      if (rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(database)} OWNER ${name}`);
      await client.query(`REVOKE ALL ON DATABASE ${client.escapeIdentifier(database)} FROM PUBLIC`);
    }
    process.stdout.write(`${role}: ${owned.join(', ')}\n`);
  }
  for (const [role, { group, database }] of Object.entries(users)) {
    const [name, groupName] = [await login(role), client.escapeIdentifier(group)];
    if (!(await isThere(group))) await client.query(`CREATE ROLE ${groupName} NOLOGIN`);
    await client.query(`GRANT ${groupName} TO ${name}`);
    // When the transactions of others began, which no owner of a database may grant.
    await client.query(`GRANT pg_read_all_stats TO ${groupName}`);
    await client.query(`GRANT CONNECT ON DATABASE ${client.escapeIdentifier(database)} TO ${groupName}`);
    process.stdout.write(`${role}: uses ${database}\n`);
  }
} finally {
  await client.end();
}
