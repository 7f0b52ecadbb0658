import type { Log } from './log.ts';

/** How long a scrape waits for one source; what comes later is shown by the next. */
const WAIT_MS = 2_000;
/** What was read so long ago is not true any more; and what was asked so long ago is not answered any more. */
const STALE_MS = 30_000;

/** Where metrics are read from. */
export interface Source<T> {
  readonly read: () => Promise<T>;
  /** Shows what was read, all at once. */
  readonly show: (seen: T) => void;
  /** Takes away what must not be shown for too long. */
  readonly clear: () => void;
  /** Begun no more often, whatever came of the last time, for what is dear and no matter of seconds; in milliseconds. */
  readonly everyMs?: number;
}

interface Read {
  readonly since: number;
  readonly done: Promise<void>;
}

/**
 * Reads a source on demand, one read at a time. `refresh` never rejects, and waits for no read that is older than two
 * seconds; one that hangs for thirty is given up. What was read is shown for thirty seconds; with `everyMs` until two
 * reads in a row gave nothing. That the source is away is told once, and once that it is back.
 */
export function createSource<T>(
  what: string,
  log: Log,
  { read, show, clear, everyMs = 0 }: Source<T>,
): { refresh(): Promise<void> } {
  let current: Read | undefined;
  let begunAt = -Infinity;
  let readAt = performance.now();
  let isAway = false;

  function begin(since: number): Read {
    begunAt = since;
    const begun: Read = { since, done: readOnce(() => begun === current) };
    void begun.done.finally(() => {
      if (begun === current) current = undefined;
    });
    return begun;
  }

  async function readOnce(isCurrent: () => boolean): Promise<void> {
    try {
      // What throws at once rejects like the rest.
      const seen = await Promise.resolve().then(read);
      if (!isCurrent()) return;
      show(seen);
      readAt = performance.now();
      if (isAway) log.info({}, `${what}: read again`);
      isAway = false;
    } catch (error) {
      if (!isCurrent()) return;
      if (!isAway) log.warn({ err: error }, `${what}: cannot be read, tried again at each scrape`);
      isAway = true;
    }
  }

  return {
    async refresh() {
      const now = performance.now();
      const isFree = current === undefined || now - current.since >= STALE_MS;
      if (isFree && now - begunAt >= everyMs) current = begin(now);
      if (current !== undefined) await within(current.since + WAIT_MS - now, current.done);
      if (performance.now() - readAt >= 2 * everyMs + STALE_MS) clear();
    },
  };
}

/** Resolves with `done`, or after `ms`. */
async function within(ms: number, done: Promise<void>): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, Math.max(0, ms));
  try {
    await Promise.race([done, over]);
  } finally {
    clearTimeout(timer);
  }
}
