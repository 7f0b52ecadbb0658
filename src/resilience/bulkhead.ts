/**
 * - `do`: makes something happen, which can wait
 * - `undo`: takes back or asks what became of something: what orders and money in the balance wait for
 */
export type CallKind = 'do' | 'undo';

export interface BulkheadLimits {
  /** Calls at a time. */
  readonly limit: number;
  /** Places of these that only undos take, so that a crowd of others never keeps them out. */
  readonly reserved: number;
}

/** A tenth of the places, at least one, but never all of them. */
export function limitsOf(limit: number): BulkheadLimits {
  return { limit, reserved: Math.min(limit - 1, Math.max(1, Math.floor(limit / 10))) };
}

/** At most so many calls at a time. Nobody queues: a queue in memory hides how far behind it is, and dies with us. */
export interface Bulkhead {
  /** Takes a place and returns what gives it back, once however often it is called; undefined if there is none. */
  enter(kind: CallKind): (() => void) | undefined;
  readonly inFlight: number;
}

export function createBulkhead({ limit, reserved }: BulkheadLimits): Bulkhead {
  let inFlight = 0;
  return {
    enter(kind) {
      if (inFlight >= (kind === 'undo' ? limit : limit - reserved)) return undefined;
      inFlight += 1;
      let isIn = true;
      return () => {
        if (isIn) inFlight -= 1;
        isIn = false;
      };
    },
    get inFlight() {
      return inFlight;
    },
  };
}
