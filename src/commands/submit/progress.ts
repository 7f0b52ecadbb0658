import type { CommandIo } from '../command.ts';

export interface ProgressState {
  /** What is going on, such as "submitting". */
  readonly label: string;
  readonly done: number;
  /** Undefined where nobody knows yet. */
  readonly total: number | undefined;
  /** Counts by outcome, in this order; zeros are left out. */
  readonly counts?: Readonly<Record<string, number>>;
  /** Something to know about, such as that the API is away. */
  readonly note?: string | undefined;
}

export interface Progress {
  /** Draws the last state and stops. */
  stop(): void;
}

const REDRAW_MS = 100;
const PLAIN_LINE_MS = 5_000;
/** The rate is that of the last so many seconds, so that the time left follows a change of pace. */
const RATE_WINDOW_MS = 15_000;

/**
 * Shows how far something is until stopped: a bar on a terminal, redrawn ten times a second, else a plain line every
 * five seconds. Writes to stderr, so that stdout holds the result alone.
 */
export function showProgress(stderr: CommandIo['stderr'], state: () => ProgressState): Progress {
  const isTTY = stderr.isTTY === true;
  const startedAt = Date.now();
  const samples: { readonly at: number; readonly done: number }[] = [];
  const draw = (): void => {
    const now = Date.now();
    const current = state();
    if (now - (samples.at(-1)?.at ?? 0) >= 1_000) samples.push({ at: now, done: current.done });
    while ((samples[0]?.at ?? now) < now - RATE_WINDOW_MS) samples.shift();
    const from = samples[0] ?? { at: startedAt, done: 0 };
    const perSecond = now > from.at ? ((current.done - from.done) * 1000) / (now - from.at) : 0;
    const width = Math.max(40, (stderr.columns ?? 100) - 1);
    const line = progressLine(current, perSecond, now - startedAt, isTTY ? width : undefined);
    stderr.write(isTTY ? `\r${line}\u001b[K` : `${line}\n`);
  };
  const timer = setInterval(draw, isTTY ? REDRAW_MS : PLAIN_LINE_MS);
  if (isTTY) draw();
  return {
    stop() {
      clearInterval(timer);
      draw();
      if (isTTY) stderr.write('\n');
    },
  };
}

/** One line of progress; with a bar and cut to `width` where there is one. */
export function progressLine(
  state: ProgressState,
  perSecond: number,
  elapsedMs: number,
  width: number | undefined,
): string {
  const { label, done, total, counts = {}, note } = state;
  const share = total === undefined ? undefined : total === 0 ? 1 : Math.min(1, done / total);
  const parts = [
    total === undefined ? `${done}` : `${done}/${total}`,
    ...(perSecond > 0 ? [`${perSecond >= 10 ? Math.round(perSecond) : perSecond.toFixed(1)}/s`] : []),
    ...Object.entries(counts).flatMap(([name, count]) => (count > 0 ? [`${count} ${name}`] : [])),
    ...(total !== undefined && done < total && perSecond > 0
      ? [`${duration(((total - done) / perSecond) * 1000)} left`]
      : [`${duration(elapsedMs)} so far`]),
    ...(note === undefined ? [] : [note]),
  ];
  const percent = share === undefined ? '' : ` ${Math.floor(share * 100)}%`;
  const bar =
    width === undefined || share === undefined ? '' : ` [${'#'.repeat(Math.round(share * 20)).padEnd(20, '.')}]`;
  const line = `${label}${bar}${percent}  ${parts.join('  ')}`;
  return width === undefined || line.length <= width ? line : `${line.slice(0, width - 1)}…`;
}

/** "850 ms", "12 s", "3 min 5 s", "2 h 7 min", "4 d 3 h". */
export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
