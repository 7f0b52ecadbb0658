import { parseArgs } from 'node:util';
import { BUNDLE_PATH, buildBundle, writeWhole } from '../workers/bundle.ts';
import type { Run } from './command.ts';

/** `evenkeel bundle [--out FILE]` */
export const run: Run = async (args, io) => {
  const { values } = parseArgs({
    args: [...args],
    options: { out: { type: 'string', default: BUNDLE_PATH }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) {
    io.stdout.write('usage: evenkeel bundle [--out FILE]\n\nBuilds the workflow bundle ahead of time, for an image.\n');
    return 0;
  }
  const { code } = await buildBundle();
  await writeWhole(values.out, code);
  io.stdout.write(`${values.out}: ${code.length} characters\n`);
  return 0;
};
