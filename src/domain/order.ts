import type { FulfillmentStatus } from './fulfillment.ts';

export const orderStatuses = [
  'received',
  'in_review',
  'confirmed',
  'fulfilling',
  'completed',
  'partially_completed',
  'cancelled',
  'rejected',
] as const;
export type OrderStatus = (typeof orderStatuses)[number];

/** The guarded transitions: what is not listed cannot happen. Terminal states lead nowhere. */
const transitions: Readonly<Record<OrderStatus, readonly OrderStatus[]>> = {
  received: ['in_review', 'confirmed', 'cancelled', 'rejected'],
  in_review: ['confirmed', 'cancelled', 'rejected'],
  confirmed: ['fulfilling', 'cancelled'],
  fulfilling: ['completed', 'partially_completed', 'cancelled'],
  completed: [],
  partially_completed: [],
  cancelled: [],
  rejected: [],
};

export function mayBecome(from: OrderStatus, to: OrderStatus): boolean {
  return transitions[from].includes(to);
}

export function isTerminal(status: OrderStatus): boolean {
  return transitions[status].length === 0;
}

/** A status that an order can end in. */
export type TerminalStatus = 'completed' | 'partially_completed' | 'cancelled' | 'rejected';

/**
 * The order's status after its confirmation, from its fulfillments alone: open while any of them is, then completed if
 * all were delivered, partially completed if some were, cancelled if none was.
 */
export function rollUp(
  fulfillments: readonly FulfillmentStatus[],
): 'confirmed' | 'fulfilling' | 'completed' | 'partially_completed' | 'cancelled' {
  const open = fulfillments.some((status) => status === 'pending' || status === 'booked' || status === 'dispatched');
  const delivered = fulfillments.filter((status) => status === 'delivered').length;
  if (open) {
    // A failed one left the house too: an order that began to be fulfilled never turns back.
    const left = fulfillments.some(
      (status) => status === 'dispatched' || status === 'delivered' || status === 'failed',
    );
    return left ? 'fulfilling' : 'confirmed';
  }
  if (delivered === 0) return 'cancelled';
  return delivered === fulfillments.length ? 'completed' : 'partially_completed';
}
