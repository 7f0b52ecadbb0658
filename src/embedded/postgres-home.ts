import { createHash } from 'node:crypto';
import { chmod, chown, mkdir, mkdtemp, readlink, realpath, rmdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PartsError, errorCode, onDisk } from './parts-error.ts';
import type { Account } from './run.ts';
import { canReach, isRoot, sharedRoot, unprivilegedAccount } from './unprivileged.ts';

export interface PostgresHome {
  /** The folder of the data and its password; owned by `account`. */
  readonly home: string;
  /** Whom PostgreSQL runs as; undefined: as ourselves. */
  readonly account: Account | undefined;
}

/**
 * `<dataDir>/postgres`: a folder, or, where root started us and the unprivileged account cannot reach that one, a link
 * to a folder under /var. Whoever owns the folder runs PostgreSQL, so that the same account does every time.
 */
export async function postgresHome(dataDir: string, report: (line: string) => void): Promise<PostgresHome> {
  const place = join(dataDir, 'postgres');
  return await onDisk(place, async () => {
    const owner = await ownerOf(place);
    if (owner === undefined) return isRoot() ? await newHomeForRoot(dataDir, place, report) : await newHome(place);
    const home = await realpath(place);
    return { home, account: await accountOf(home, owner) };
  });
}

async function newHome(place: string): Promise<PostgresHome> {
  await mkdir(place, { mode: 0o700 });
  return { home: place, account: undefined };
}

async function newHomeForRoot(dataDir: string, place: string, report: (line: string) => void): Promise<PostgresHome> {
  const account = await unprivilegedAccount();
  await mkdir(place, { mode: 0o700 });
  await chown(place, account.uid, account.gid);
  if (await canReach(place, account)) return { home: place, account };
  await rmdir(place);

  // A new one each time: what lies there from a data folder since moved or deleted is not ours to reuse or remove.
  const hash = createHash('sha256').update(dataDir).digest('hex').slice(0, 12);
  const home = await mkdtemp(join(await sharedRoot(), `${hash}-`));
  await writeFile(join(home, 'belongs-to'), `${dataDir}\n`);
  await chmod(home, 0o700);
  await chown(home, account.uid, account.gid);
  await symlink(home, place);
  report(`PostgreSQL keeps its data in ${home}: the user that it runs as cannot reach ${dataDir}`);
  return { home, account };
}

async function accountOf(place: string, owner: Account): Promise<Account | undefined> {
  if (!isRoot()) {
    if (owner.uid === process.getuid?.()) return undefined;
    throw new PartsError(
      `${place} belongs to the user with id ${owner.uid}, who started Evenkeel here before. ` +
        `Start it as that user, or choose another folder by EVENKEEL_DATA_DIR.`,
    );
  }
  if (owner.uid === 0) throw new PartsError(`${place} belongs to root, as whom PostgreSQL does not run; delete it`);
  if (await canReach(place, owner)) return owner;
  throw new PartsError(
    `PostgreSQL runs as the user with id ${owner.uid}, who owns ${place} and can no longer reach it. ` +
      `Let everybody pass through the folders above it (chmod a+x), or choose another folder by EVENKEEL_DATA_DIR.`,
  );
}

async function ownerOf(place: string): Promise<Account | undefined> {
  try {
    const { uid, gid } = await stat(place);
    return { uid, gid };
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    const target = await readlink(place).catch(() => undefined);
    if (target === undefined) return undefined;
    throw new PartsError(
      `${place} leads to ${target}, which is gone, and PostgreSQL's data with it. Put it back, or delete the link ` +
        `to begin anew.`,
      { cause: error },
    );
  }
}
