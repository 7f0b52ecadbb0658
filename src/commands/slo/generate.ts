import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readConfig } from '../../config.ts';
import { loadObjectives } from '../../slo/files.ts';
import { type GeneratedFile, generate as generateFiles, generatedFolders } from '../../slo/generate.ts';
import { type Run, UsageError } from '../command.ts';
import { parseWords, wholeNumber } from '../words.ts';

/** `ops` of the program itself: both `src/` and `dist/` lie next to it. */
const shipped = fileURLToPath(new URL('../../../ops', import.meta.url));

const options = {
  check: { type: 'boolean', default: false },
  'time-scale': { type: 'string', default: '1' },
  out: { type: 'string' },
  'slo-dir': { type: 'string' },
} as const;

/** `evenkeel slo generate` */
export const generate: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, options);
  if (positionals[0] !== undefined) throw new UsageError(`'${positionals[0]}' is one word too many`);
  const timeScale = wholeNumber('time-scale', values['time-scale'], 1, 60);
  if (timeScale > 1 && values.out === undefined)
    throw new UsageError('--time-scale makes rules for a proof, not for use: say with --out where they go');
  const { objectives } = await loadObjectives(values['slo-dir'] ?? readConfig(io.env).EVENKEEL_SLO_DIR);
  const files = generateFiles({ objectives, timeScale });
  const out = values.out ?? shipped;
  const stale = await staleFiles(out, files);
  if (!values.check) {
    await write(out, files, stale);
    io.stdout.write(`${out}: ${files.length} files, ${stale.length} of them changed\n`);
    return 0;
  }
  for (const path of stale) io.stdout.write(`${join(out, path)} is not what the objectives make\n`);
  if (stale.length > 0) io.stderr.write("run 'evenkeel slo generate' and commit what it changes\n");
  return stale.length > 0 ? 1 : 0;
};

/** Paths, from the folder `out`, of what is missing there, differs, or lies where only generated files may. */
export async function staleFiles(out: string, files: readonly GeneratedFile[]): Promise<readonly string[]> {
  const known = new Set(files.map(({ path }) => path));
  const differing = await Promise.all(
    files.map(async ({ path, text }) => ((await textOf(join(out, path))) === text ? [] : [path])),
  );
  const found = await Promise.all(
    generatedFolders.map(async (folder) => (await namesIn(join(out, folder))).map((name) => `${folder}/${name}`)),
  );
  return [...differing.flat(), ...found.flat().filter((path) => !known.has(path))];
}

async function write(out: string, files: readonly GeneratedFile[], stale: readonly string[]): Promise<void> {
  const texts = new Map(files.map(({ path, text }) => [path, text]));
  for (const path of stale) {
    const file = join(out, path);
    const text = texts.get(path);
    if (text === undefined) {
      await rm(file);
      continue;
    }
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
}

async function textOf(file: string): Promise<string | undefined> {
  return absentAs(undefined, readFile(file, 'utf8'));
}

async function namesIn(folder: string): Promise<readonly string[]> {
  return absentAs([], readdir(folder));
}

async function absentAs<T, U>(fallback: U, reading: Promise<T>): Promise<T | U> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return fallback;
    throw error;
  }
}
