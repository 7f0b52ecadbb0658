import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Effect, EffectOf, Fact, MovedFact, Result } from './facts.ts';
import { Problem } from './problem.ts';

const text = z.string().min(1).max(200);
export const bookBody = z.object({
  orderId: text,
  fulfillmentId: text,
  location: text,
  address: z.object({
    name: text,
    line1: text,
    line2: text.optional(),
    city: text,
    postalCode: text,
    country: z.string().regex(/^[A-Z]{2}$/, 'an ISO 3166-1 alpha-2 code such as GB'),
  }),
  items: z.array(z.object({ sku: text, quantity: z.int().positive() })).min(1),
});

type Draft<K extends Effect['kind']> = Omit<EffectOf<K>, 'key' | 'at' | 'orderId'>;
export interface CarrierDecision {
  readonly result: Result;
  readonly effect: Draft<'shipment'> | Draft<'cancellation'> | null;
}

export interface Shipment extends EffectOf<'shipment'> {
  status: 'booked' | 'cancelled' | 'dispatched' | 'delivered';
  dispatchedAt: string | null;
}

/** What a callback says, beside its `messageId`. */
export interface Message extends MovedFact {
  readonly shipmentKey: string;
  readonly orderId: string;
  readonly fulfillmentId: string;
}

/** The carrier's rules over its shipments. Its pivot: what has been dispatched cannot be cancelled any more. */
export class Shipments {
  readonly #shipments = new Map<string, Shipment>();
  readonly #unacknowledged = new Map<string, Message>();

  apply(effect: Effect): void {
    if (effect.kind === 'shipment') {
      this.#shipments.set(effect.shipmentId, { ...effect, status: 'booked', dispatchedAt: null });
    } else if (effect.kind === 'cancellation') {
      this.find(effect.shipmentId).status = 'cancelled';
    }
  }

  applyFact(fact: Exclude<Fact, { type: 'operation' }>): void {
    if (fact.type === 'acknowledged') {
      this.#unacknowledged.delete(fact.messageId);
      return;
    }
    const shipment = this.find(fact.shipmentId);
    shipment.status = fact.kind;
    if (fact.kind === 'dispatched') shipment.dispatchedAt = fact.at;
    const { key: shipmentKey, orderId, fulfillmentId } = shipment;
    this.#unacknowledged.set(fact.messageId, { ...fact, shipmentKey, orderId, fulfillmentId });
  }

  book({ fulfillmentId, address }: z.infer<typeof bookBody>): CarrierDecision {
    if (address.postalCode === 'UNDELIVERABLE') {
      return { result: { outcome: 'refused', reason: 'address_undeliverable' }, effect: null };
    }
    const shipmentId = `ship_${randomBytes(8).toString('hex')}`;
    const trackingNumber = `PW${randomBytes(5).toString('hex').toUpperCase()}`;
    return {
      result: { outcome: 'booked', shipmentId, trackingNumber },
      effect: { kind: 'shipment', shipmentId, trackingNumber, fulfillmentId },
    };
  }

  cancel(shipmentId: string): CarrierDecision {
    const { status, fulfillmentId } = this.find(shipmentId);
    switch (status) {
      case 'booked':
        return { result: { outcome: 'cancelled' }, effect: { kind: 'cancellation', shipmentId, fulfillmentId } };
      case 'cancelled':
        return { result: { outcome: 'cancelled' }, effect: null };
      case 'dispatched':
      case 'delivered':
        return { result: { outcome: 'already_dispatched' }, effect: null };
      default:
        return status satisfies never;
    }
  }

  /** Whether the shipment is to move now: false if it has moved so far already. Throws a `Problem` if it cannot. */
  mayMove(shipmentId: string, kind: MovedFact['kind']): boolean {
    const { status } = this.find(shipmentId);
    const before = kind === 'dispatched' ? 'booked' : 'dispatched';
    if (status === before) return true;
    if (status === kind || status === 'delivered') return false;
    throw new Problem(409, 'illegal_move', `shipment ${shipmentId} is ${status}: it cannot be ${kind}`);
  }

  find(shipmentId: string): Shipment {
    const found = this.#shipments.get(shipmentId);
    if (!found) throw new Problem(404, 'unknown_shipment', `there is no shipment '${shipmentId}'`);
    return found;
  }

  /** Shipments whose next move is still to come. */
  moving(): Shipment[] {
    return [...this.#shipments.values()].filter(({ status }) => status === 'booked' || status === 'dispatched');
  }

  /** A message that nobody has acknowledged yet. */
  message(messageId: string): Message | undefined {
    return this.#unacknowledged.get(messageId);
  }

  unacknowledged(): Message[] {
    return [...this.#unacknowledged.values()];
  }
}
