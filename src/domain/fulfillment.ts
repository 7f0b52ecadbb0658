export const fulfillmentStatuses = ['pending', 'booked', 'dispatched', 'delivered', 'cancelled', 'failed'] as const;
/** `failed`: dispatched, but never delivered; its payment was given back. `cancelled`: never left the house. */
export type FulfillmentStatus = (typeof fulfillmentStatuses)[number];

/**
 * "Dispatched" proves "booked": a carrier's callback may overtake the answer to the booking. A booking that is taken
 * back, to be made anew with corrected input, leaves the fulfillment as it was before.
 */
const transitions: Readonly<Record<FulfillmentStatus, readonly FulfillmentStatus[]>> = {
  pending: ['booked', 'dispatched', 'cancelled'],
  booked: ['pending', 'dispatched', 'cancelled'],
  dispatched: ['delivered', 'failed'],
  delivered: [],
  cancelled: [],
  failed: [],
};

export function fulfillmentMayBecome(from: FulfillmentStatus, to: FulfillmentStatus): boolean {
  return transitions[from].includes(to);
}
