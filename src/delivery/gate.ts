import { setTimeout as delay } from 'node:timers/promises';
import { DomainFailure } from '../domain/failures.ts';
import type { Log } from '../telemetry/log.ts';

/** Holds up what needs the database while that is away, so that its absence is nobody's failure. */
export interface Gate {
  /**
   * Does `work`, at least once. If the store fails it, waits until the store answers and does it again; a work that fails although the
   * store answers, twice on end, fails for a reason of its own, and that is thrown. Waits no
   * longer when `stop` fires.
   */
  pass<T>(stop: AbortSignal, work: () => Promise<T>): Promise<T>;
  /** Does `work` until it succeeds, at least once, for as long as `mayPass` says of its failures that they may and `stop` has not fired. */
  insist<T>(stop: AbortSignal, work: () => Promise<T>, mayPass?: (error: unknown) => boolean): Promise<T>;
  /** A pause before doing something again. Rejects when `stop` fires. */
  rest(stop: AbortSignal): Promise<void>;
}

const REST_MS = 1_000;

/** `ping` resolves if the store answers. */
export function createGate(ping: () => Promise<void>, log: Log): Gate {
  let waiting = 0;
  const answers = (): Promise<boolean> =>
    ping().then(
      () => true,
      () => false,
    );

  /** Resolves once the store answers; with whether it had to be waited for. */
  const reopened = async (stop: AbortSignal): Promise<boolean> => {
    if (await answers()) return false;
    waiting += 1;
    if (waiting === 1) log.warn({}, 'the database is away: orders from the queue wait');
    try {
      do await rest(stop);
      while (!(await answers()));
      if (waiting === 1) log.info({}, 'the database is back: orders from the queue go on');
      return true;
    } finally {
      waiting -= 1;
    }
  };

  return {
    rest,
    async pass(stop, work) {
      for (let inVain = 0; ;) {
        try {
          return await work();
        } catch (error) {
          if (!isAway(error)) throw error;
          inVain = (await reopened(stop)) ? 0 : inVain + 1;
          if (inVain > 1) throw error;
        }
      }
    },
    async insist(stop, work, mayPass = isAway) {
      for (;;) {
        try {
          return await work();
        } catch (error) {
          if (stop.aborted || !mayPass(error)) throw error;
          if (isAway(error)) await reopened(stop);
          else log.warn({ err: error }, 'order message: its copy is not confirmed; tried again');
          await rest(stop);
        }
      }
    },
  };
}

function rest(stop: AbortSignal): Promise<void> {
  return delay(REST_MS * (0.5 + Math.random() / 2), undefined, { signal: stop });
}

function isAway(error: unknown): boolean {
  return error instanceof DomainFailure && error.code === 'store_unavailable';
}
