// The roles and databases of the stack: each role owns what is its own, with the password of today, and enters nothing
// else. Safe to repeat. Run by the superuser of SUPERUSER_URL_FILE; passwords come from PASSWORDS_DIR/<role>-password.
import { readFileSync } from 'node:fs';
import { Client } from 'pg';

const databases = { evenkeel: ['evenkeel'], temporal: ['temporal', 'temporal_visibility'] };

const read = (file) => readFileSync(file, 'utf8').trim();
const { SUPERUSER_URL_FILE: urlFile, PASSWORDS_DIR: passwords } = process.env;
if (!urlFile || !passwords) throw new Error('set SUPERUSER_URL_FILE and PASSWORDS_DIR');

const client = new Client({ connectionString: read(urlFile) });
await client.connect();
try {
  for (const [role, owned] of Object.entries(databases)) {
    const name = client.escapeIdentifier(role);
    const password = client.escapeLiteral(read(`${passwords}/${role}-password`));
    const { rowCount: roles } = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [role]);
    await client.query(`${roles === 0 ? 'CREATE' : 'ALTER'} ROLE ${name} LOGIN PASSWORD ${password}`);
    for (const database of owned) {
      const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database]);
      if (rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(database)} OWNER ${name}`);
      await client.query(`REVOKE ALL ON DATABASE ${client.escapeIdentifier(database)} FROM PUBLIC`);
    }
    process.stdout.write(`${role}: ${owned.join(', ')}\n`);
  }
} finally {
  await client.end();
}
