import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import type {
  Catalog,
  Inbox,
  Intake,
  NewOrder,
  OrderView,
  OrderViews,
  Outstanding,
  Requests,
  StockLevel,
} from '../../../src/domain/order-ports.ts';
import type { EffectJournal } from '../../../src/domain/provider-ports.ts';
import type { Orders, PlannedFulfillment, Screening, Stock } from '../../../src/domain/step-ports.ts';
import { type StepName, stepKey } from '../../../src/domain/steps.ts';

/** Every store port of one adapter, over one storage. */
export interface Stores {
  readonly screening: Screening;
  readonly stock: Stock;
  readonly orders: Orders;
  readonly effects: EffectJournal;
  readonly intake: Intake;
  readonly views: OrderViews;
  readonly catalog: Catalog;
  readonly requests: Requests;
  readonly inbox: Inbox;
  readonly outstanding: Outstanding;
}

export const address = { name: 'Ada', line1: '1 Row', city: 'London', postalCode: 'N1 1AA', country: 'GB' };

export type Items = NewOrder['items'];

const newOrder = (items: Items, changes: Partial<NewOrder> = {}): NewOrder => ({
  customerId: `customer-${randomUUID()}`,
  currency: 'GBP',
  items,
  payment: { token: 'tok_visa' },
  shippingAddress: address,
  ...changes,
});

const step = (orderId: string, name: StepName, fulfillmentId?: string, generation = 1) => ({
  orderId,
  key: stepKey(orderId, name, generation, fulfillmentId),
});

/** A customer of the stores under test: makes catalog entries and orders of its own, and walks orders on their way. */
export function shopOf(stores: Stores) {
  const { catalog, effects, intake, orders, stock, views } = stores;

  const sku = async (onHand: Readonly<Record<string, number>> = { main: 100 }, priceMinor = 250): Promise<string> => {
    const name = `sku-${randomUUID()}`;
    await catalog.put({ sku: name, description: 'a thing', priceMinor, currency: 'GBP' });
    await Promise.all(Object.entries(onHand).map(([location, count]) => catalog.putStock(name, location, count)));
    return name;
  };

  const accept = async (items: Items, changes: Partial<NewOrder> = {}): Promise<OrderView> => {
    const idempotency = { caller: 'default', key: randomUUID(), bodyHash: 'hash' };
    const result = await intake.accept(newOrder(items, changes), idempotency, undefined);
    if (result.kind !== 'created') throw new Error(`a new key was ${result.kind}`);
    return result.order;
  };

  const reserve = async (orderId: string): Promise<readonly PlannedFulfillment[]> => {
    const result = await stock.reserve(step(orderId, 'reserve'));
    if (result.outcome !== 'reserved') throw new Error(`out of stock: ${result.skus.join(', ')}`);
    return result.fulfillments;
  };

  const authorize = async (orderId: string): Promise<string> => {
    const authorizationId = `auth-${orderId}`;
    await effects.openAuthorize(step(orderId, 'authorize'));
    await effects.settle(step(orderId, 'authorize'), 'authorize', { outcome: 'authorized', authorizationId });
    return authorizationId;
  };

  const confirmed = async (items: Items) => {
    const { id: orderId } = await accept(items);
    const fulfillments = await reserve(orderId);
    const authorizationId = await authorize(orderId);
    await orders.confirm(step(orderId, 'confirm'));
    const [first] = fulfillments;
    if (first === undefined) throw new Error('reserved without a fulfillment');
    return { orderId, fulfillments, fulfillmentId: first.id, authorizationId };
  };

  const book = async (orderId: string, fulfillmentId: string): Promise<string> => {
    const shipmentId = `shipment-${fulfillmentId}`;
    const ref = step(orderId, 'book', fulfillmentId);
    await effects.openBook({ ...ref, fulfillmentId });
    await effects.settle(ref, 'book', { outcome: 'booked', shipmentId, trackingNumber: 'T1' });
    return shipmentId;
  };

  const dispatch = (orderId: string, fulfillmentId: string, at = new Date().toISOString()): Promise<void> =>
    orders.dispatch({ ...step(orderId, 'dispatch', fulfillmentId), fulfillmentId, at });

  const view = async (orderId: string): Promise<OrderView> => {
    const found = await views.find(orderId);
    if (found === undefined) throw new Error(`order ${orderId} is gone`);
    return found;
  };

  const level = async (name: string): Promise<Pick<StockLevel, 'onHand' | 'reserved'>> => {
    const found = await catalog.findStock(name);
    if (found === undefined) throw new Error(`SKU ${name} is gone`);
    return { onHand: found.onHand, reserved: found.reserved };
  };

  const types = async (orderId: string): Promise<string[]> =>
    (await view(orderId)).timeline.map(({ type }) => type.replace(/^evenkeel\.order\.(.*)\.v1$/, '$1'));

  return { sku, newOrder, accept, step, reserve, authorize, confirmed, book, dispatch, view, level, types };
}

export type Shop = ReturnType<typeof shopOf>;

/** Expects a domain failure of that code and returns it. */
export async function failure(promise: Promise<unknown>, code: string): Promise<Error & { code: string }> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ name: 'DomainFailure', code });
  return error as Error & { code: string };
}

export function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
