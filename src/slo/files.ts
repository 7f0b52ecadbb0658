// The one file of this room that reads any.
// oxlint-disable no-restricted-imports
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
// oxlint-enable no-restricted-imports
import type { SourceFile } from './documents.ts';
import { type Objectives, parseObjectives } from './openslo.ts';

/** `ops/slo` of the program itself: both `src/` and `dist/` lie next to it. */
const shipped = fileURLToPath(new URL('../../ops/slo', import.meta.url));

/** The YAML files of a folder, by name; of the one that comes with the program if none is named. */
export async function readObjectiveFiles(dir: string = shipped): Promise<readonly SourceFile[]> {
  const names = (await readdir(dir)).filter((name) => /\.ya?ml$/.test(name)).toSorted();
  return Promise.all(names.map(async (name) => ({ name, text: await readFile(join(dir, name), 'utf8') })));
}

/** The objectives in a folder (EVENKEEL_SLO_DIR). Throws `ObjectivesError`, or what reading a file throws. */
export async function loadObjectives(dir?: string): Promise<Objectives> {
  return parseObjectives(await readObjectiveFiles(dir));
}
