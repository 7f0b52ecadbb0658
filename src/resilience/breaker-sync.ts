import { setTimeout as sleep } from 'node:timers/promises';
import type { BreakerStore } from '../domain/breakers.ts';
import type { Breakers } from './breakers.ts';

/** Each process does as operators want within this, the time of two queries and a little. */
const SYNC_EVERY_MS = 2_000;

/** Told how keeping in touch goes; `createOutage` of src/delivery/outage.ts is one. */
export interface SyncOutage {
  failed(error: unknown): unknown;
  worked(): void;
}

/** Keeps a process's breakers in touch with the fleet's until `signal` fires. Never rejects. */
export async function runBreakerSync(
  breakers: Breakers,
  store: Pick<BreakerStore, 'forced' | 'report'>,
  outage: SyncOutage,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await breakers.sync(store);
      outage.worked();
    } catch (error) {
      outage.failed(error);
    }
    // Rejects when the signal fires: that is the end of it.
    await sleep(SYNC_EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
}
