import { DomainFailure } from '../../src/domain/failures.ts';
import type { FulfillmentStatus } from '../../src/domain/fulfillment.ts';
import type {
  EffectJournal,
  EffectKind,
  EffectRecord,
  EffectTypes,
  OpenedEffect,
  ShipmentRequest,
  StrayEffect,
} from '../../src/domain/provider-ports.ts';
import type { StepRef } from '../../src/domain/step-ports.ts';

interface Row {
  readonly orderId: string;
  readonly key: string;
  readonly kind: EffectKind;
  input: EffectTypes[EffectKind]['input'] | undefined;
  outcome: EffectRecord<EffectKind>['outcome'];
  tombstone: boolean;
  undone?: true;
}

/** What the journal reads of an order when it opens an effect. */
export interface OrderFacts {
  readonly totalMinor: number;
  readonly currency: string;
  token: string;
  postalCode: string;
}

/** What bookings change, and are checked against. */
export interface Bookable {
  status: FulfillmentStatus;
  shipmentId: string | null;
}

export interface JournalHooks {
  /** Told whenever an outcome was recorded. */
  readonly settled?: () => void;
  readonly fulfillment?: (id: string) => Bookable | undefined;
}

/** A journal of provider effects in memory, with the port's rules: the first input and the first outcome stay. */
export class MemoryJournal implements EffectJournal {
  readonly rows = new Map<string, Row>();
  readonly #facts: OrderFacts;
  readonly #hooks: JournalHooks;

  constructor(facts: OrderFacts, hooks: JournalHooks = {}) {
    this.#facts = facts;
    this.#hooks = hooks;
  }

  openAuthorize(step: StepRef): Promise<OpenedEffect<'authorize'>> {
    const { totalMinor, currency, token } = this.#facts;
    return this.open(step, 'authorize', { orderId: step.orderId, amountMinor: totalMinor, currency, token });
  }

  openBook(step: StepRef & { readonly fulfillmentId: string }): Promise<OpenedEffect<'book'>> {
    const { orderId, fulfillmentId } = step;
    if (!this.rows.has(step.key)) this.#mayBook(fulfillmentId);
    const { postalCode } = this.#facts;
    const address = { name: 'A. Buyer', line1: '1 Street', city: 'Town', postalCode, country: 'GB' };
    const request: ShipmentRequest = { orderId, fulfillmentId, location: 'main', address, items: [] };
    return this.open(step, 'book', request);
  }

  async open<K extends EffectKind>(
    { orderId, key }: StepRef,
    kind: K,
    input: EffectTypes[K]['input'],
  ): Promise<OpenedEffect<K>> {
    const known = this.rows.get(key);
    if (known?.tombstone) throw new DomainFailure('step_undone', `step ${key} was undone`);
    if (known === undefined) this.rows.set(key, { orderId, key, kind, input, outcome: undefined, tombstone: false });
    const record = this.#record<K>(key);
    if (record === undefined) throw new Error(`no record of ${key} after it was opened`);
    return { ...record, first: known === undefined };
  }

  async settle<K extends EffectKind>(
    step: StepRef,
    _kind: K,
    outcome: NonNullable<EffectRecord<K>['outcome']>,
  ): Promise<NonNullable<EffectRecord<K>['outcome']>> {
    const row = this.rows.get(step.key);
    if (row?.input === undefined) throw new Error(`${step.key} was settled and never opened`);
    if (row.outcome === undefined || row.outcome.outcome === 'never_happened') {
      row.outcome = outcome;
      this.#markUndone(row);
      this.#moveFulfillment(row);
    }
    this.#hooks.settled?.();
    return row.outcome;
  }

  #mayBook(fulfillmentId: string): void {
    const { status } = this.#hooks.fulfillment?.(fulfillmentId) ?? { status: 'pending' };
    if (status === 'pending' && !this.#hasBooking(fulfillmentId)) return;
    throw new DomainFailure('illegal_transition', `${fulfillmentId} is ${status} and cannot be booked (again)`);
  }

  #hasBooking(fulfillmentId: string): boolean {
    return [...this.rows.values()].some(
      ({ kind, input, outcome, tombstone }) =>
        kind === 'book' &&
        !tombstone &&
        (outcome === undefined || outcome.outcome === 'booked') &&
        input !== undefined &&
        Reflect.get(input, 'fulfillmentId') === fulfillmentId,
    );
  }

  #moveFulfillment({ input, outcome, tombstone }: Row): void {
    if (input === undefined || !('fulfillmentId' in input)) return;
    const fulfillment = this.#hooks.fulfillment?.(input.fulfillmentId);
    if (fulfillment === undefined) return;
    if (outcome?.outcome === 'booked') {
      const replaced = fulfillment.shipmentId !== null || this.#hasBooking(input.fulfillmentId);
      if (!tombstone || !replaced) fulfillment.shipmentId = outcome.shipmentId;
      if (!tombstone && fulfillment.status === 'pending') fulfillment.status = 'booked';
    }
    if (outcome?.outcome === 'cancelled' && 'shipmentId' in input && input.shipmentId === fulfillment.shipmentId) {
      fulfillment.shipmentId = null;
      if (fulfillment.status === 'booked') fulfillment.status = 'pending';
    }
  }

  /** An undo that succeeded takes the effect back that its input names. */
  #markUndone({ input, outcome }: Row): void {
    if (input === undefined || !['voided', 'refunded', 'cancelled'].includes(outcome?.outcome ?? '')) return;
    const ids = (['authorizationId', 'captureId', 'shipmentId'] as const).filter((name) => name in input);
    for (const row of this.rows.values()) {
      const took = (name: string): boolean =>
        row.outcome !== undefined && Reflect.get(row.outcome, name) === Reflect.get(input, name);
      if (ids.some(took)) row.undone = true;
    }
  }

  async tombstone<K extends EffectKind>({ orderId, key }: StepRef, kind: K): Promise<EffectRecord<K> | undefined> {
    const row = this.rows.get(key);
    if (row) row.tombstone = true;
    else this.rows.set(key, { orderId, key, kind, input: undefined, outcome: undefined, tombstone: true });
    return this.#record<K>(key);
  }

  async find<K extends EffectKind>(key: string, _kind: K): Promise<EffectRecord<K> | undefined> {
    return this.#record<K>(key);
  }

  async unsettled(): Promise<readonly { orderId: string; key: string; kind: EffectKind }[]> {
    return [...this.rows.values()].filter(
      ({ input, outcome }) => input !== undefined && (outcome === undefined || outcome.outcome === 'never_happened'),
    );
  }

  async strays(): Promise<readonly StrayEffect[]> {
    return [];
  }

  #record<K extends EffectKind>(key: string): EffectRecord<K> | undefined {
    const row = this.rows.get(key);
    if (row?.input === undefined) return undefined;
    return {
      kind: row.kind as K,
      input: row.input,
      outcome: row.outcome as EffectRecord<K>['outcome'],
      ...(row.undone === undefined ? {} : { undone: row.undone }),
    };
  }
}
