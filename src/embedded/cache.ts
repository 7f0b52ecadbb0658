import { access, constants, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { onDisk } from './parts-error.ts';

/** Where executables are kept for all checkouts of this user: `$XDG_CACHE_HOME/evenkeel` or `~/.cache/evenkeel`. */
export function cacheRoot(env: Readonly<Record<string, string | undefined>>): string {
  // Only absolute paths count (XDG Base Directory Specification 0.8).
  const xdg = env['XDG_CACHE_HOME'];
  return join(xdg?.startsWith('/') ? xdg : join(env['HOME'] ?? homedir(), '.cache'), 'evenkeel');
}

/** Fills a folder beside `place` and moves it there when `fill` is done; what a killed run leaves is never used. */
export async function fillCache(place: string, fill: (draft: string) => Promise<void>): Promise<void> {
  await onDisk(place, async () => {
    await mkdir(dirname(place), { recursive: true });
    await removeOldDrafts(place);
    const draft = await mkdtemp(`${place}.new-`);
    try {
      await fill(draft);
      const former = `${draft}.former`;
      // Absent, or one that did not work.
      await rename(place, former).catch(() => undefined);
      await rename(draft, place);
      await rm(former, { recursive: true, force: true });
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
  });
}

/** Of runs that were killed; a younger one may still be at work. */
async function removeOldDrafts(place: string): Promise<void> {
  const siblings = await readdir(dirname(place));
  const drafts = siblings.filter((name) => name.startsWith(`${basename(place)}.new-`));
  await Promise.all(
    drafts.map(async (name) => {
      const draft = join(dirname(place), name);
      const { mtimeMs } = await stat(draft);
      if (Date.now() - mtimeMs > 3_600_000) await rm(draft, { recursive: true, force: true });
    }),
  );
}

export async function isExecutable(file: string): Promise<boolean> {
  return await access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}
