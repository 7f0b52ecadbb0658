import type { Log } from '../telemetry/log.ts';

const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 2_000;

/** What is tried again and again while something is away: one line in the log when that begins and one when it ends. */
export interface Outage {
  /** One more failure; returns how long to wait, in milliseconds. */
  failed(error: unknown): number;
  worked(): void;
}

export function createOutage(what: string, log: Log): Outage {
  let failures = 0;
  return {
    failed(error) {
      if (failures === 0) log.warn({ err: error }, `${what}: failed, tried again until it works`);
      const full = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures, 10));
      failures += 1;
      return full * (0.5 + Math.random() / 2);
    },
    worked() {
      if (failures > 0) log.info({ failures }, `${what}: works again`);
      failures = 0;
    },
  };
}
