import { afterAll, afterEach, beforeAll, beforeEach, inject, vi } from 'vitest';
import { Shop } from './workflow.ts';

/** What happens to an order of one fulfillment whose every step succeeds. */
export const happyWay = [
  'screened',
  'reserved',
  'authorized',
  'confirmed',
  'booked 1',
  'dispatched 1',
  'captured 1',
  'delivered 1',
  'finished completed',
];

/** A time-skipping server and a worker for all tests of a file, or for `each` of them. */
export function useShop({ each = false } = {}): () => Shop {
  let shop: Shop | undefined;
  (each ? beforeEach : beforeAll)(async () => {
    // Waits between attempts are jittered down to their minimum: time skips only while an order's end is awaited.
    vi.spyOn(Math, 'random').mockReturnValue(0);
    shop = await Shop.open(inject('testServerPath'));
  });
  (each ? afterEach : afterAll)(async () => {
    await shop?.close();
    vi.restoreAllMocks();
  });
  return () => {
    if (shop === undefined) throw new Error('the test server is not open: call useShop at the top of the file');
    return shop;
  };
}
