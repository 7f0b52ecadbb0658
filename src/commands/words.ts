import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { z } from 'zod';
import { readConfig } from '../config.ts';
import { type CommandIo, UsageError } from './command.ts';

/** `parseArgs` with its complaint as a `UsageError`. */
export function parseWords<O extends ParseArgsOptionsConfig>(args: readonly string[], options: O) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** The one positional word that a command wants. Throws `UsageError` if it is missing or there are more. */
export function onlyWord(words: readonly string[], what: string): string {
  const [word, extra] = words;
  if (word === undefined || word === '') throw new UsageError(`${what} is missing`);
  if (extra !== undefined) throw new UsageError(`'${extra}' is one word too many`);
  return word;
}

/** A whole number from `least` to `most`. Throws `UsageError` that names the option and its value. */
export function wholeNumber(option: string, value: string, least: number, most: number): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= least && number <= most) return number;
  throw new UsageError(`--${option} takes a whole number from ${least} to ${most}, not '${value}'`);
}

/** Where the API is: `--url` if given, else from the settings. Throws `UsageError` for what is no http(s) URL. */
export function apiUrl(given: string | undefined, io: CommandIo): URL {
  if (given === undefined) {
    const { EVENKEEL_HTTP_HOST: host, EVENKEEL_HTTP_PORT: port } = readConfig(io.env);
    // What listens on every address is reached on this machine's own.
    const reachable =
      host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host;
    return new URL(`http://${reachable}:${port}`);
  }
  const url = z.url({ protocol: /^https?$/ }).safeParse(given);
  if (!url.success)
    throw new UsageError(`--url takes an http or https URL such as http://127.0.0.1:8080, not '${given}'`);
  return new URL(url.data);
}

const agoUnitMs: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A moment in UTC, given as one or as how long ago it was. Throws `UsageError` that names the option and its value. */
export function moment(option: string, value: string, nowMs: number): string {
  const [, count = '', unit = ''] = /^(\d{1,4})([mhd])$/.exec(value) ?? [];
  const unitMs = agoUnitMs[unit];
  if (unitMs !== undefined) return new Date(nowMs - Number(count) * unitMs).toISOString();
  if (z.iso.datetime({ offset: true }).safeParse(value).success) return new Date(value).toISOString();
  throw new UsageError(
    `--${option} takes a moment such as 2026-01-02T03:04:05Z, or 90m, 12h or 2d for so long ago, not '${value}'`,
  );
}
