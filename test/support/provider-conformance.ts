import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Carrier, PaymentGateway, ShipmentRequest } from '../../src/domain/provider-ports.ts';
import type { Attempt } from '../../src/domain/step-ports.ts';

/** A gateway to be tested, with the tokens by which this provider accepts and declines. */
export interface GatewayUnderTest {
  readonly gateway: PaymentGateway;
  readonly tokens: { readonly accepted: string; readonly declined: string };
  stop(): Promise<void>;
}

/** A carrier to be tested, with a way to make it dispatch and an address that it refuses. */
export interface CarrierUnderTest {
  readonly carrier: Carrier;
  readonly refusedPostalCode: string;
  dispatch(shipmentId: string): Promise<void>;
  stop(): Promise<void>;
}

/** Long enough for any call here; a call that hangs fails its test by this. */
export const attempt = (): Attempt => ({ signal: AbortSignal.timeout(15_000) });

/** A key in the shape of ours. */
export const newKey = (step: string): string => `order-${randomUUID()}:${step}:1`;

/** A key of characters that mean something in a URL. */
const oddKey = (): string => `${randomUUID()}/a?b=c#d%2Fe f`;

const newOrder = (amountMinor: number) => ({ orderId: randomUUID(), amountMinor, currency: 'GBP' });

/** What every adapter of the `PaymentGateway` port must do. */
export function paymentGatewayConformance(name: string, make: () => Promise<GatewayUnderTest>): void {
  describe(`${name}, as a payment gateway`, () => {
    let made: GatewayUnderTest;
    beforeAll(async () => {
      made = await make();
    });
    afterAll(async () => made.stop());

    async function authorizeNew(amountMinor: number) {
      const order = newOrder(amountMinor);
      const key = newKey('authorize');
      const request = { ...order, token: made.tokens.accepted };
      const outcome = await made.gateway.authorize(key, request, attempt());
      if (outcome.outcome !== 'authorized') throw new Error(`authorization was ${outcome.outcome}`);
      return { order, key, request, outcome, authorizationId: outcome.authorizationId };
    }

    async function captureNew(amountMinor: number, ofMinor = amountMinor) {
      const { order, authorizationId } = await authorizeNew(ofMinor);
      const key = newKey('capture');
      const request = { ...order, amountMinor, authorizationId };
      const outcome = await made.gateway.capture(key, request, attempt());
      if (outcome.outcome !== 'captured') throw new Error(`capture was ${outcome.outcome}`);
      return { order, key, request, outcome, authorizationId, captureId: outcome.captureId };
    }

    test('gives the first authorization again for the same key', async () => {
      const { key, request, outcome } = await authorizeNew(1_000);
      expect(await made.gateway.authorize(key, request, attempt())).toEqual(outcome);
    });

    test('authorizes once when the same key arrives several times at once', async () => {
      const key = newKey('authorize');
      const request = { ...newOrder(1_000), token: made.tokens.accepted };
      const outcomes = await Promise.all([1, 2, 3, 4].map(() => made.gateway.authorize(key, request, attempt())));
      expect(new Set(outcomes.map((outcome) => JSON.stringify(outcome))).size).toBe(1);
    });

    test('authorizes anew for another key', async () => {
      const { request, authorizationId } = await authorizeNew(1_000);
      const other = await made.gateway.authorize(newKey('authorize'), request, attempt());
      expect(other).toMatchObject({ outcome: 'authorized' });
      expect(other).not.toMatchObject({ authorizationId });
    });

    test('reports a declined card as an outcome with a reason, and again for the same key', async () => {
      const key = newKey('authorize');
      const request = { ...newOrder(1_000), token: made.tokens.declined };
      const outcome = await made.gateway.authorize(key, request, attempt());
      expect(outcome).toEqual({ outcome: 'declined', reason: expect.stringMatching(/./) });
      expect(await made.gateway.authorize(key, request, attempt())).toEqual(outcome);
    });

    test('refuses a key that was used for another amount', async () => {
      const { key, request } = await authorizeNew(1_000);
      await expect(made.gateway.authorize(key, { ...request, amountMinor: 999 }, attempt())).rejects.toMatchObject({
        name: 'DomainFailure',
        code: 'provider_rejected',
      });
    });

    test('finds each operation by its key, as it was answered', async () => {
      const { key, outcome, request, captureId } = await captureNew(400, 1_000);
      expect(await made.gateway.lookup(key, attempt())).toEqual(outcome);

      const voidKey = newKey('void');
      const voided = await made.gateway.void(voidKey, request, attempt());
      expect(await made.gateway.lookup(voidKey, attempt())).toEqual(voided);

      const refundKey = newKey('refund');
      const refunded = await made.gateway.refund(refundKey, { ...request, captureId }, attempt());
      expect(await made.gateway.lookup(refundKey, attempt())).toEqual(refunded);

      const declinedKey = newKey('authorize');
      const declined = { ...newOrder(1_000), token: made.tokens.declined };
      const answer = await made.gateway.authorize(declinedKey, declined, attempt());
      expect(await made.gateway.lookup(declinedKey, attempt())).toEqual(answer);
    });

    test('knows nothing of a key that it never saw', async () => {
      expect(await made.gateway.lookup(newKey('authorize'), attempt())).toBeUndefined();
    });

    test('takes any key, whatever its characters mean in a URL', async () => {
      const key = oddKey();
      const request = { ...newOrder(1_000), token: made.tokens.accepted };
      const outcome = await made.gateway.authorize(key, request, attempt());
      expect(await made.gateway.lookup(key, attempt())).toEqual(outcome);
    });

    test('captures an authorization in parts, each once, up to its amount', async () => {
      const { order, authorizationId } = await authorizeNew(1_000);
      const part = { ...order, authorizationId };
      const first = newKey('capture:f1');
      const captured = await made.gateway.capture(first, { ...part, amountMinor: 600 }, attempt());
      expect(captured).toMatchObject({ outcome: 'captured' });
      expect(await made.gateway.capture(first, { ...part, amountMinor: 600 }, attempt())).toEqual(captured);

      // Had the repeat captured again, neither the rest would fit nor would one unit more be the limit.
      const tooMuch = await made.gateway.capture(newKey('capture:f2'), { ...part, amountMinor: 401 }, attempt());
      expect(tooMuch).toMatchObject({ outcome: 'refused' });
      const rest = await made.gateway.capture(newKey('capture:f3'), { ...part, amountMinor: 400 }, attempt());
      expect(rest).toMatchObject({ outcome: 'captured' });
    });

    test('voids an authorization, after which nothing can be captured', async () => {
      const { order, authorizationId } = await authorizeNew(1_000);
      const request = { ...order, authorizationId };
      const key = newKey('void');
      expect(await made.gateway.void(key, request, attempt())).toEqual({ outcome: 'voided' });
      expect(await made.gateway.void(key, request, attempt())).toEqual({ outcome: 'voided' });
      expect(await made.gateway.void(newKey('void'), request, attempt())).toEqual({ outcome: 'voided' });
      const late = await made.gateway.capture(newKey('capture'), request, attempt());
      expect(late).toMatchObject({ outcome: 'refused' });
    });

    test('voids what is left of an authorization captured in part, and keeps the capture', async () => {
      const { request, captureId } = await captureNew(400, 1_000);
      expect(await made.gateway.void(newKey('void'), request, attempt())).toEqual({ outcome: 'voided' });
      const refunded = await made.gateway.refund(newKey('refund'), { ...request, captureId }, attempt());
      expect(refunded).toMatchObject({ outcome: 'refunded' });
    });

    test('refuses to void what was captured in full', async () => {
      const { request } = await captureNew(1_000);
      expect(await made.gateway.void(newKey('void'), request, attempt())).toMatchObject({ outcome: 'refused' });
    });

    test('refunds a capture once, and never above it', async () => {
      const { request, captureId } = await captureNew(1_000);
      const refund = { ...request, captureId };
      const key = newKey('refund');
      const refunded = await made.gateway.refund(key, { ...refund, amountMinor: 700 }, attempt());
      expect(refunded).toMatchObject({ outcome: 'refunded' });
      expect(await made.gateway.refund(key, { ...refund, amountMinor: 700 }, attempt())).toEqual(refunded);
      const tooMuch = await made.gateway.refund(newKey('refund'), { ...refund, amountMinor: 301 }, attempt());
      expect(tooMuch).toMatchObject({ outcome: 'refused' });
      const rest = await made.gateway.refund(newKey('refund'), { ...refund, amountMinor: 300 }, attempt());
      expect(rest).toMatchObject({ outcome: 'refunded' });
    });

    test('stops waiting when the attempt is over', async () => {
      const over = { signal: AbortSignal.abort() };
      const request = { ...newOrder(1_000), token: made.tokens.accepted };
      await expect(made.gateway.authorize(newKey('authorize'), request, over)).rejects.toMatchObject({
        code: 'provider_timeout',
      });
    });
  });
}

/** What every adapter of the `Carrier` port must do. */
export function carrierConformance(name: string, make: () => Promise<CarrierUnderTest>): void {
  describe(`${name}, as a carrier`, () => {
    let made: CarrierUnderTest;
    beforeAll(async () => {
      made = await make();
    });
    afterAll(async () => made.stop());

    async function bookNew() {
      const key = newKey('book:f1');
      const request = newShipment();
      const outcome = await made.carrier.book(key, request, attempt());
      if (outcome.outcome !== 'booked') throw new Error(`booking was ${outcome.outcome}`);
      return { key, request, outcome, shipmentId: outcome.shipmentId };
    }

    test('gives the first booking again for the same key', async () => {
      const { key, request, outcome } = await bookNew();
      expect(await made.carrier.book(key, request, attempt())).toEqual(outcome);
    });

    test('books anew for another key', async () => {
      const { request, shipmentId } = await bookNew();
      const other = await made.carrier.book(newKey('book:f1'), request, attempt());
      expect(other).toMatchObject({ outcome: 'booked' });
      expect(other).not.toMatchObject({ shipmentId });
    });

    test('refuses a key that was used for other goods', async () => {
      const { key, request } = await bookNew();
      const other = { ...request, items: [{ sku: 'SKU-2', quantity: 9 }] };
      await expect(made.carrier.book(key, other, attempt())).rejects.toMatchObject({ code: 'provider_rejected' });
    });

    test('reports an address it does not serve as an outcome with a reason, and again for the same key', async () => {
      const key = newKey('book:f1');
      const { address, ...rest } = newShipment();
      const request = { ...rest, address: { ...address, postalCode: made.refusedPostalCode } };
      const outcome = await made.carrier.book(key, request, attempt());
      expect(outcome).toEqual({ outcome: 'refused', reason: 'address_undeliverable' });
      expect(await made.carrier.book(key, request, attempt())).toEqual(outcome);
      expect(await made.carrier.lookup(key, attempt())).toEqual(outcome);
    });

    test('finds bookings and cancellations by their keys, as they were answered', async () => {
      const { key, outcome, shipmentId } = await bookNew();
      expect(await made.carrier.lookup(key, attempt())).toEqual(outcome);
      const cancelKey = newKey('cancel_shipment:f1');
      await made.carrier.cancel(cancelKey, { shipmentId }, attempt());
      expect(await made.carrier.lookup(cancelKey, attempt())).toEqual({ outcome: 'cancelled' });
      expect(await made.carrier.lookup(key, attempt())).toEqual(outcome);
    });

    test('knows nothing of a key that it never saw', async () => {
      expect(await made.carrier.lookup(newKey('book:f1'), attempt())).toBeUndefined();
    });

    test('takes any key, whatever its characters mean in a URL', async () => {
      const key = oddKey();
      const outcome = await made.carrier.book(key, newShipment(), attempt());
      expect(await made.carrier.lookup(key, attempt())).toEqual(outcome);
    });

    test('cancels a booked shipment, under the same and under another key', async () => {
      const { shipmentId } = await bookNew();
      const key = newKey('cancel_shipment:f1');
      expect(await made.carrier.cancel(key, { shipmentId }, attempt())).toEqual({ outcome: 'cancelled' });
      expect(await made.carrier.cancel(key, { shipmentId }, attempt())).toEqual({ outcome: 'cancelled' });
      const again = await made.carrier.cancel(newKey('cancel_shipment:f1'), { shipmentId }, attempt());
      expect(again).toEqual({ outcome: 'cancelled' });
    });

    test('cannot cancel what it has dispatched, and keeps to that answer', async () => {
      const { shipmentId } = await bookNew();
      await made.dispatch(shipmentId);
      const key = newKey('cancel_shipment:f1');
      expect(await made.carrier.cancel(key, { shipmentId }, attempt())).toEqual({ outcome: 'already_dispatched' });
      expect(await made.carrier.lookup(key, attempt())).toEqual({ outcome: 'already_dispatched' });
    });

    test('cannot dispatch what was cancelled', async () => {
      const { shipmentId } = await bookNew();
      await made.carrier.cancel(newKey('cancel_shipment:f1'), { shipmentId }, attempt());
      await expect(made.dispatch(shipmentId)).rejects.toThrow(/cancelled/);
    });

    test('stops waiting when the attempt is over', async () => {
      const over = { signal: AbortSignal.abort() };
      await expect(made.carrier.book(newKey('book:f1'), newShipment(), over)).rejects.toMatchObject({
        code: 'provider_timeout',
      });
    });
  });
}

/** A shipment of an order of its own, to an address that any carrier serves. */
export function newShipment(): ShipmentRequest {
  return {
    orderId: randomUUID(),
    fulfillmentId: 'f1',
    location: 'main',
    address: { name: 'Ada Byron', line1: '12 St James Sq', city: 'London', postalCode: 'SW1Y 4JH', country: 'GB' },
    items: [{ sku: 'SKU-1', quantity: 2 }],
  };
}
