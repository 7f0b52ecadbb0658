import type { CommittedChange, StoreObserver } from '../adapters/postgres/database.ts';
import { type OrderStatus, type TerminalStatus, isTerminal } from '../domain/order.ts';
import type { Metrics } from './metrics.ts';

/** Counts what the store is asked, and what came of orders in what it committed. */
export function storeMetrics(metrics: Metrics): Required<StoreObserver> {
  return {
    statement({ durationMs, failed }) {
      metrics.count('storeStatements', { outcome: failed ? 'failed' : 'completed' });
      metrics.observe('storeSeconds', {}, durationMs / 1000);
    },
    changed(change) {
      for (const type of change.events) metrics.count('eventsPublished', { type });
      if (change.from === null) metrics.count('ordersAccepted', {});
      if (change.from !== change.to) observeOrder(metrics, change);
    },
  };
}

function observeOrder(metrics: Metrics, { to, createdAt, at }: CommittedChange): void {
  if (to === 'confirmed') metrics.observe('orderSeconds', {}, (at.getTime() - createdAt.getTime()) / 1000);
  if (hasEnded(to)) metrics.count('ordersFinished', { outcome: to });
}

function hasEnded(status: OrderStatus): status is TerminalStatus {
  return isTerminal(status);
}
