import type { CommandIo } from './command.ts';
import { duration } from './submit/progress.ts';

/** Text from elsewhere, safe for a terminal: control characters (an escape sequence begins with one) become blanks. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ');
}

/** Columns as wide as their widest cell; `right` names those that are aligned to the right. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths: number[] = [];
  for (const row of rows) for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  const lines = rows.map((row) =>
    row
      .map((cell, at) => (right.includes(at) ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
  return lines.map((line) => `${line}\n`).join('');
}

/** "3 s", "2 h 7 min": how long ago `at` was. What lies ahead, by a clock that differs, is "0 s". */
export function age(at: string, nowMs: number): string {
  return duration(Math.max(0, Math.floor((nowMs - Date.parse(at)) / 1000)) * 1000).replace(/^0 ms$/, '0 s');
}

/** "+0.312 s" below a minute, then "+3 min 5 s": the time between two moments. */
export function since(from: string, to: string): string {
  const ms = Math.max(0, Date.parse(to) - Date.parse(from));
  return ms < 60_000 ? `+${(ms / 1000).toFixed(3)} s` : `+${duration(ms)}`;
}

/** Each line cut to the width of a terminal; whole where the text goes into a file or a pipe. */
export function fitted(text: string, { isTTY, columns }: CommandIo['stdout']): string {
  if (isTTY !== true || columns === undefined) return text;
  const cut = (line: string): string => (line.length <= columns ? line : `${line.slice(0, columns - 1)}…`);
  return text.split('\n').map(cut).join('\n');
}
