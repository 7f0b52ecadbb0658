import { expect, test } from 'vitest';
import { fulfillmentMayBecome, fulfillmentStatuses } from '../../src/domain/fulfillment.ts';

test('a fulfillment moves only as the carrier can have moved it', () => {
  const allowed = fulfillmentStatuses.flatMap((from) =>
    fulfillmentStatuses.filter((to) => fulfillmentMayBecome(from, to)).map((to) => `${from} -> ${to}`),
  );
  expect(allowed).toEqual([
    'pending -> booked',
    // The carrier's callback may overtake the answer to the booking.
    'pending -> dispatched',
    'pending -> cancelled',
    // Its booking was taken back: it can be booked anew, with corrected input.
    'booked -> pending',
    'booked -> dispatched',
    'booked -> cancelled',
    'dispatched -> delivered',
    'dispatched -> failed',
  ]);
});
