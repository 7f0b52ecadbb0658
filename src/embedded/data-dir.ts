import { access, constants, mkdir, realpath, rename, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { PartsError, onDisk } from './parts-error.ts';

/** An empty PostgreSQL with its first write-ahead log takes 60 MB, an hour of orders a few hundred. */
const MIN_FREE_BYTES = 300 * 1024 * 1024;

/**
 * Makes the folder for the parts' data and its `logs/`, and resolves with its real path. Only its owner may read it;
 * as root others may pass through it, since PostgreSQL then runs as somebody else. Throws a `PartsError` if it cannot
 * be written or its disk has less than `minFreeBytes` left.
 */
export async function prepareDataDir(dataDir: string, minFreeBytes = MIN_FREE_BYTES): Promise<string> {
  return await onDisk(dataDir, async () => {
    await mkdir(dataDir, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
    await mkdir(join(dataDir, 'logs'), { recursive: true, mode: 0o700 });
    await access(dataDir, constants.W_OK | constants.X_OK);
    const { bavail, bsize } = await statfs(dataDir);
    if (bavail * bsize < minFreeBytes) {
      throw new PartsError(
        `the disk of ${dataDir} is full: ${megabytes(bavail * bsize)} are left, and the parts need at least ` +
          `${megabytes(minFreeBytes)}. Free some space, or choose another folder by EVENKEEL_DATA_DIR.`,
      );
    }
    return await realpath(dataDir);
  });
}

/** The file that a part's output goes to. The log of the run before is kept beside it as `<name>.1.log`. */
export async function freshLog(dataDir: string, name: string): Promise<string> {
  const file = join(dataDir, 'logs', `${name}.log`);
  // None there yet: nothing to keep.
  await rename(file, join(dataDir, 'logs', `${name}.1.log`)).catch(() => undefined);
  return file;
}

function megabytes(bytes: number): string {
  return `${Math.floor(bytes / 1024 / 1024)} MB`;
}
