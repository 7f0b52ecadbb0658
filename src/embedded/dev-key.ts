import { chmod, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApiKeys } from '../domain/access-ports.ts';
import { errorCode, onDisk } from './parts-error.ts';

const VALID_DAYS = 365;

/**
 * The admin's key in `<dataDir>/dev-key`, that its owner alone can read: made on the first start, and anew where it is
 * gone, was revoked, has expired or opens another database. Throws a `PartsError` where it cannot be written, and
 * `store_unavailable`.
 */
export async function ensureDevKey(dataDir: string, keys: Pick<ApiKeys, 'create' | 'find'>): Promise<string> {
  const file = join(dataDir, 'dev-key');
  return await onDisk(file, async () => {
    const kept = await readKey(file);
    const identity = kept === undefined ? undefined : await keys.find(kept);
    if (kept !== undefined && identity?.customerId === undefined && identity?.roles.includes('admin') === true) {
      await chmod(file, 0o600);
      return kept;
    }
    const wanted = { name: 'dev-key', roles: ['admin'], validDays: VALID_DAYS, actor: 'cli:start' } as const;
    const { key } = await keys.create(wanted);
    const draft = `${file}.${process.pid}`;
    await writeFile(draft, `${key}\n`, { mode: 0o600 });
    await rename(draft, file);
    return key;
  });
}

async function readKey(file: string): Promise<string | undefined> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
