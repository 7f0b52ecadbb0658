import type { DeliveryQueue } from '../../domain/delivery-ports.ts';
import type { Database } from './database.ts';
import { claim } from './delivery-claim.ts';
import { settle } from './delivery-settle.ts';

/**
 * Whoever locks more than one row takes consumers first, then their health, then deliveries, each in the order of their
 * ids: so no two wait for each other.
 */
export function postgresDeliveryQueue(db: Database): DeliveryQueue {
  return {
    claim: (limits) => db.transaction((trx) => claim(trx, limits)),
    settle: (settlements, relay) =>
      settlements.length === 0
        ? Promise.resolve({ late: [], missed: [], troubled: [], disabled: [] })
        : db.transaction((trx) => settle(trx, settlements, relay)),
  };
}
