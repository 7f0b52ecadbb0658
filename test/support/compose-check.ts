import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/embedded/run.ts';
import { ROOT } from './compose-file.ts';

export const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** The files below a folder of the checkout whose names end so, as paths from its root. */
export function filesIn(folder: string, suffix: string): string[] {
  const files = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  return files.filter((file) => file.endsWith(suffix)).map((file) => join(folder, file));
}

/** Runs a checker in the checkout. `faults` is empty if it has none to name. */
export async function check(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly faults: string; readonly stdout: string }> {
  const { code, stdout, output } = await run(command, args, { cwd: ROOT, env: { ...process.env, ...env } });
  return { stdout, faults: code === 0 ? '' : `${command} ends with ${code}: ${output}` };
}
