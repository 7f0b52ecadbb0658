import { afterAll, beforeAll, describe } from 'vitest';
import { bookingsConformance } from './store-conformance/bookings.ts';
import { effectsConformance } from './store-conformance/effects.ts';
import { intakeConformance } from './store-conformance/intake.ts';
import { orderEndsConformance } from './store-conformance/order-ends.ts';
import { ordersConformance } from './store-conformance/orders.ts';
import { outstandingConformance } from './store-conformance/outstanding.ts';
import { requestsConformance } from './store-conformance/requests.ts';
import { type Shop, shopOf, type Stores } from './store-conformance/shop.ts';
import { stockConformance } from './store-conformance/stock.ts';
import { straysConformance } from './store-conformance/strays.ts';
import { viewsConformance } from './store-conformance/views.ts';

/** What an adapter's stores must be made with: screening sends orders above 500,000 minor units, and a customer's sixth within an hour, to review. */
export const screeningRules = { reviewAboveMinor: 500_000, reviewOrdersPerHour: 5 };

/** What every adapter of the store ports must do. */
export function storeConformance(name: string, make: () => Promise<{ stores: Stores; stop(): Promise<void> }>): void {
  describe(`${name}, as the stores`, () => {
    let made: { stores: Stores; shop: Shop; stop(): Promise<void> };
    beforeAll(async () => {
      const { stores, stop } = await make();
      made = { stores, shop: shopOf(stores), stop };
    });
    afterAll(async () => made.stop());

    for (const suite of [
      intakeConformance,
      stockConformance,
      ordersConformance,
      orderEndsConformance,
      effectsConformance,
      bookingsConformance,
      straysConformance,
      requestsConformance,
      outstandingConformance,
      viewsConformance,
    ]) {
      suite(() => made);
    }
  });
}
