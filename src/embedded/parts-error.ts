/** Something on this machine keeps a part from running. The message says what, where, and what to do about it. */
export class PartsError extends Error {
  override readonly name = 'PartsError';
}

const advice: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full; free some space and start again',
  EDQUOT: 'your disk quota is used up; free some space and start again',
  EACCES: 'you may not write there; change its owner or mode, or choose another folder by EVENKEEL_DATA_DIR',
  EPERM: 'you may not write there; change its owner or mode, or choose another folder by EVENKEEL_DATA_DIR',
  EROFS: 'that file system is read-only; choose another folder by EVENKEEL_DATA_DIR',
  ENOTDIR: 'a part of that path is no folder; choose another one by EVENKEEL_DATA_DIR',
};

/** Runs `work`; a failure of the file system becomes a `PartsError` that names `place` and what to do. */
export async function onDisk<T>(place: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = errorCode(error);
    const isSpawn = error instanceof Error && 'syscall' in error && String(error.syscall).startsWith('spawn');
    const hint = code === undefined || isSpawn ? undefined : advice[code];
    if (hint === undefined) throw error;
    throw new PartsError(`cannot write to ${place} (${code}): ${hint}`, { cause: error });
  }
}

/** The system's code of an error (ENOENT, 57P03 …), if it has one. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
