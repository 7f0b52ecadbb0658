import { chmodSync, copyFileSync } from 'node:fs';
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { connect } from '../../src/adapters/postgres/database.ts';
import { preparePostgres, waitForPostgres } from '../../src/embedded/postgres.ts';
import { freePort } from '../../src/embedded/ports.ts';
import { type TestAuthority, testAuthority } from '../support/certificates.ts';
import { PlainProcess } from '../support/compose-process.ts';
import { Program } from '../support/program.ts';

let ours: TestAuthority;
let another: TestAuthority;
let folder: string;
let server: PlainProcess | undefined;
/** With the superuser's password, and no word about TLS. */
let plainUrl: string;
let password: string;

beforeAll(async () => {
  ours = testAuthority('Ours');
  another = testAuthority('Another');
  folder = await mkdtemp(join(tmpdir(), 'evenkeel-postgres-tls-'));
  await chmod(folder, 0o711);
  const { cert, key } = ours.issue('server', 2, 'IP:127.0.0.1');
  const [ownKey, hba, logFile] = [join(folder, 'server.key'), join(folder, 'hba.conf'), join(folder, 'log')];
  // Nobody may come without TLS.
  await writeFile(hba, 'hostssl all all 127.0.0.1/32 scram-sha-256\n', { mode: 0o644 });
  copyFileSync(key, ownKey);
  const { part, urlOf } = await preparePostgres({
    dataDir: folder,
    port: await freePort(),
    logFile,
    report: () => undefined,
    signal: AbortSignal.timeout(120_000),
    settings: { ssl: 'on', ssl_cert_file: cert, ssl_key_file: ownKey, hba_file: hba, fsync: 'off' },
  });
  // PostgreSQL wants its key to be nobody else's.
  chmodSync(ownKey, 0o600);
  if (part.account) await chown(ownKey, part.account.uid, part.account.gid);
  server = new PlainProcess({ ...part, env: { ...part.env }, logFile });
  plainUrl = urlOf('postgres');
  password = new URL(plainUrl).password;
  await waitForPostgres(withParameters({ sslmode: 'no-verify' }), AbortSignal.timeout(60_000));
});

afterAll(async () => {
  await server?.end('SIGKILL');
  await rm(folder, { recursive: true, force: true });
  for (const authority of [ours, another]) authority?.remove();
});

function withParameters(parameters: Readonly<Record<string, string>>, host = '127.0.0.1'): string {
  const url = new URL(plainUrl);
  url.hostname = host;
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

/** What `evenkeel migrate` says of it, which fails, and all that it wrote. */
async function refusal(databaseUrl: string): Promise<string> {
  const program = new Program(['migrate'], {
    DATABASE_URL: databaseUrl,
    TEMPORAL_ADDRESS: 'localhost:1',
    PAYMENT_GATEWAY_URL: 'http://localhost:1',
    CARRIER_URL: 'http://localhost:1',
  });
  onTestFinished(async () => void (await program.end('SIGKILL')));
  await program.start();
  expect(await program.exited()).toBe(1);
  const written = [...program.stdout, ...program.stderr].join('\n');
  expect(written).not.toContain(password);
  return written;
}

test.each(['verify-full', 'require', 'prefer'])('sslmode=%s is TLS with a server that is verified', async (sslmode) => {
  const db = connect(withParameters({ sslmode, sslrootcert: ours.ca }), { pool: 1 });
  onTestFinished(() => db.destroy());
  await db.ping();
  const days = ((db.certificateExpiresAt()?.getTime() ?? 0) - Date.now()) / 86_400_000;
  expect(days).toBeGreaterThan(1);
  expect(days).toBeLessThan(2);
});

test.each([
  ['without TLS', () => plainUrl, /no pg_hba.conf entry .* no encryption/],
  [
    'whose authority is another',
    () => withParameters({ sslmode: 'verify-full', sslrootcert: another.ca }),
    /self.signed certificate|unable to verify/,
  ],
  // libpq would take any certificate then, and so would the driver's next major version.
  [
    'whose authority is not named',
    () => withParameters({ sslmode: 'require' }),
    /self.signed certificate|unable to verify/,
  ],
  [
    'that is at another name than its own',
    () => withParameters({ sslmode: 'verify-full', sslrootcert: ours.ca }, 'localhost'),
    /does not match certificate/,
  ],
  [
    'whose file of authorities is not there',
    () => withParameters({ sslmode: 'verify-full', sslrootcert: '/nowhere.pem' }),
    /sslrootcert=\/nowhere\.pem cannot be read \(ENOENT\)/,
  ],
  ['by a mode that does not exist', () => withParameters({ sslmode: 'verify_full' }), /sslmode=verify_full is none of/],
])('a server is refused %s, with the reason and without the password', async (_, url, why) => {
  expect(await refusal(url())).toMatch(why);
});

test('while the certificate is refused, requests are told to come again', async () => {
  const db = connect(withParameters({ sslmode: 'verify-full', sslrootcert: another.ca }), { pool: 1 });
  onTestFinished(() => db.destroy());
  await expect(db.ping()).rejects.toMatchObject({ code: 'store_unavailable' });
});
