import type { AnsweredRequest } from '../api/deps.ts';
import type { CountedMinute, SloRecords } from '../domain/slo-ports.ts';
import type { Log } from '../telemetry/log.ts';
import { createBell } from './bell.ts';
import { createOutage } from './outage.ts';

export interface RequestCounter {
  /** Takes note of a request that is over. Never throws. */
  count(answered: AnsweredRequest): void;
  /** Writes what was counted until `signal` fires, and then what is left. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

const FLUSH_EVERY_MS = 2_000;
const MINUTE_MS = 60_000;
/** While nothing can be written, the last day is kept. */
const MOST_MINUTES = 24 * 60;
/** How often the rest is tried at the end: no longer than a process has to stop. */
const LAST_TRIES = 3;

/**
 * Counts how this process answers the API's own routes, by minute, by its own clock: while PostgreSQL is away there is
 * no other, and that is what has to be counted then. Probes, metrics and documents are nobody's order; a caller who left
 * before the answer says nothing about us.
 */
export function createRequestCounter(records: Pick<SloRecords, 'addRequests'>, log: Log): RequestCounter {
  const outage = createOutage("counting the API's requests", log);
  const bell = createBell();
  let counted = new Map<number, { good: number; bad: number }>();

  function add(minute: number, good: number, bad: number): void {
    const sum = counted.get(minute) ?? { good: 0, bad: 0 };
    counted.set(minute, { good: sum.good + good, bad: sum.bad + bad });
  }

  function keepTheLast(): void {
    if (counted.size <= MOST_MINUTES) return;
    const kept = [...counted].toSorted(([one], [other]) => other - one).slice(0, MOST_MINUTES);
    log.warn({ minutes: counted.size - kept.length }, "the API's requests of more than a day ago were never written");
    counted = new Map(kept);
  }

  /** Resolves with how long to wait before the next time, in milliseconds. */
  async function flush(): Promise<number> {
    if (counted.size === 0) return FLUSH_EVERY_MS;
    const minutes = [...counted].map(([minute, sums]): CountedMinute => ({ minute: new Date(minute), ...sums }));
    counted = new Map();
    try {
      await records.addRequests(minutes);
      outage.worked();
      return FLUSH_EVERY_MS;
    } catch (error) {
      for (const { minute, good, bad } of minutes) add(minute.getTime(), good, bad);
      keepTheLast();
      return Math.max(FLUSH_EVERY_MS, outage.failed(error));
    }
  }

  return {
    count({ route, status }) {
      if (status === null || !route.startsWith('/v1/')) return;
      const isBad = status >= 500;
      add(Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS, isBad ? 0 : 1, isBad ? 1 : 0);
    },
    async run(signal) {
      signal.addEventListener('abort', () => bell.ring(), { once: true });
      while (!signal.aborted) await bell.wait(await flush());
      for (let tries = 0; tries < LAST_TRIES && counted.size > 0; tries += 1) await flush();
      const lost = [...counted.values()].reduce((sum, { good, bad }) => sum + good + bad, 0);
      if (lost > 0) log.warn({ requests: lost }, "the API's last requests were counted and not written");
    },
  };
}
