import { main, usage } from '../cli.ts';
import { describeConfig } from '../config.ts';
import { type Run, UsageError } from './command.ts';

/** `evenkeel help`, `evenkeel help config`, and `evenkeel help <command>` for what `<command> --help` prints. */
export const run: Run = async (args, io) => {
  const [topic, extra] = args;
  if (extra !== undefined) throw new UsageError(`'${extra}' is one word too many`);
  if (topic === undefined || topic.startsWith('-') || topic === 'help') {
    io.stdout.write(usage());
    return 0;
  }
  if (topic !== 'config') return main([topic, '--help'], io);
  io.stdout.write(configHelp(io.stdout.columns ?? 100));
  return 0;
};

/** All settings with their defaults, for lines of `width` characters. */
export function configHelp(width: number): string {
  const entries = describeConfig().flatMap(({ name, fallback, meaning }) => [
    fallback === '' ? name : `${name}=${fallback}`,
    ...wrap(meaning, Math.max(40, width - 4)).map((line) => `    ${line}`),
  ]);
  const intro =
    'Settings are environment variables; behind = stands the default. Each may come from a file, as secrets do: ' +
    'NAME_FILE names a file that holds the value of NAME.';
  return `${wrap(intro, Math.max(40, width)).join('\n')}\n\n${entries.join('\n')}\n`;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
