import { chmod, mkdir } from 'node:fs/promises';
import { PartsError, errorCode } from './parts-error.ts';
import { type Account, run } from './run.ts';

/** For what must lie where everybody can reach it; the second where the first cannot be made. */
const SHARED_ROOTS = ['/var/lib/evenkeel', '/var/tmp/evenkeel'];

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** The account that PostgreSQL runs as when we are root, since it refuses to run as root. */
export async function unprivilegedAccount(): Promise<Account> {
  for (const name of ['postgres', '_postgres', 'nobody']) {
    // oxlint-disable-next-line no-await-in-loop -- in order of preference
    const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])]);
    if (uid.code === 0 && gid.code === 0) return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  }
  throw new PartsError(
    'PostgreSQL does not run as root, and there is neither a user postgres nor nobody to run it as. ' +
      'Start Evenkeel as an ordinary user, or set DATABASE_URL to a PostgreSQL of your own.',
  );
}

/** Whether the account can enter a folder: asked of the system itself, which knows of access lists and the like. */
export async function canReach(folder: string, account: Account): Promise<boolean> {
  const script = 'cd "$1" && test -r . && test -x .';
  return (await run('/bin/sh', ['-c', script, 'sh', folder], { account, cwd: '/' })).code === 0;
}

/** A folder that every user of this machine can pass through. Only for root. */
export async function sharedRoot(): Promise<string> {
  for (const root of SHARED_ROOTS) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- the second is for where the first cannot be had
      await mkdir(root, { recursive: true, mode: 0o711 });
      // oxlint-disable-next-line no-await-in-loop -- mkdir's mode is cut by the umask
      await chmod(root, 0o711);
      return root;
    } catch (error) {
      if (!['EROFS', 'EACCES', 'EPERM', 'ENOENT'].includes(errorCode(error) ?? '')) throw error;
    }
  }
  throw new PartsError(
    `neither ${SHARED_ROOTS.join(' nor ')} can be written; PostgreSQL needs one of them when it is started by root`,
  );
}
