import type { DeliveryWorkflows, Settled } from '../domain/delivery-ports.ts';
import type { Log } from '../telemetry/log.ts';
import { createOutage } from './outage.ts';

/** A workflow that looks more often learns nothing. */
const TOLD_EVERY_MS = 1_000;

/** Tells Temporal of consumers in trouble. */
export interface TroubleNews {
  tell(troubled: Settled['troubled']): void;
  close(): void;
}

/**
 * Best effort, and nobody waits for it: what is not told the sweeper finds, and the workflow looks by itself. News of
 * one consumer are told once a second at most, the last ones always.
 */
export function createTroubleNews(workflows: DeliveryWorkflows, log: Log): TroubleNews {
  const outage = createOutage('telling of a consumer in trouble', log);
  const resting = new Map<string, { hasMore: boolean }>();
  let isClosed = false;

  async function start(consumerId: string, epoch: number): Promise<void> {
    try {
      await workflows.startTrouble(consumerId, epoch);
    } catch (error) {
      log.warn({ err: error, consumerId, epoch }, 'trouble has no workflow yet: left to the sweeper');
    }
  }

  async function news(consumerId: string): Promise<void> {
    const known = resting.get(consumerId);
    if (known !== undefined) {
      known.hasMore = true;
      return;
    }
    const rest = { hasMore: false };
    resting.set(consumerId, rest);
    const rested = new Promise((resolve) => {
      setTimeout(resolve, TOLD_EVERY_MS).unref();
    });
    try {
      await workflows.tellTrouble(consumerId);
      outage.worked();
    } catch (error) {
      outage.failed(error);
    }
    await rested;
    resting.delete(consumerId);
    if (rest.hasMore && !isClosed) await news(consumerId);
  }

  return {
    tell(troubled) {
      for (const { consumerId, epoch, began } of troubled) void (began ? start(consumerId, epoch) : news(consumerId));
    },
    close() {
      isClosed = true;
    },
  };
}
