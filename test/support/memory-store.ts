import { DomainFailure } from '../../src/domain/failures.ts';
import { type FulfillmentStatus, fulfillmentMayBecome } from '../../src/domain/fulfillment.ts';
import { allocate } from '../../src/domain/money.ts';
import { type OrderStatus, type TerminalStatus, isTerminal, mayBecome } from '../../src/domain/order.ts';
import type {
  Attention,
  AttentionEnd,
  Orders,
  ReservationResult,
  Screening,
  ScreeningResult,
  Stock,
  StepRef,
} from '../../src/domain/step-ports.ts';
import type { OrderFacts } from './memory-effects.ts';

export interface StoredFulfillment {
  readonly id: string;
  readonly amountMinor: number;
  status: FulfillmentStatus;
  /** Of the booking in force. */
  shipmentId: string | null;
  stock: 'reserved' | 'released' | 'left';
}

export interface Correction {
  readonly token?: string;
  readonly postalCode?: string;
}

export interface StoreOptions {
  readonly orderId: string;
  readonly facts: OrderFacts;
  /** How much of the total each fulfillment carries; one entry a fulfillment. */
  readonly weights: readonly number[];
  readonly verdict: ScreeningResult;
  readonly outOfStock: boolean;
  /** Told of each effect, in the order of happening. */
  readonly note: (event: string) => void;
}

/** One order in our own store, in memory: results under keys, tombstones, guarded transitions. */
export class MemoryStore {
  status: OrderStatus = 'received';
  reason: string | null = null;
  readonly fulfillments: StoredFulfillment[] = [];
  readonly attentions = new Map<string, Attention & { closed?: AttentionEnd }>();
  /** By id, each with the id of its record in the audit log. */
  readonly recordedDecisions = new Map<string, string>();
  readonly corrections = new Map<string, Correction>();
  /** The generation that each step has come to by decisions, for a replacement of the workflow. */
  readonly generations: Record<string, number> = {};
  readonly #options: StoreOptions;
  readonly #results = new Map<string, unknown>();
  readonly #tombstones = new Set<string>();

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  readonly screening: Screening = {
    screen: (step) =>
      this.#step(step, 'screened', () => {
        const { verdict } = this.#options;
        if (verdict.verdict === 'review') this.#become('in_review');
        return verdict;
      }),
  };

  readonly stock: Stock = {
    reserve: (step) => this.#step(step, 'reserved', () => this.#reserve()),
    release: ({ orderId, key, undoes, fulfillmentId }) =>
      this.#step(
        { orderId, key },
        event('released', fulfillmentId),
        () => {
          // With one fulfillment given up, the reservation still stands for the others.
          if (fulfillmentId === undefined || !this.#results.has(undoes)) this.#tombstones.add(undoes);
          const held = this.fulfillments.filter(
            ({ id, stock }) => stock === 'reserved' && (fulfillmentId === undefined || id === fulfillmentId),
          );
          for (const fulfillment of held) {
            fulfillment.stock = 'released';
            if (fulfillment.status === 'pending') fulfillment.status = 'cancelled';
          }
          return { releasedLines: held.length };
        },
        'also at the end',
      ),
  };

  readonly orders: Orders = {
    confirm: (step) => this.#step(step, 'confirmed', () => this.#become('confirmed')),
    dispatch: (step) =>
      this.#step(step, event('dispatched', step.fulfillmentId), () => {
        this.#move(step.fulfillmentId, 'dispatched').stock = 'left';
        if (this.status === 'confirmed') this.#become('fulfilling');
      }),
    deliver: (step) =>
      this.#step(step, event('delivered', step.fulfillmentId), () => void this.#move(step.fulfillmentId, 'delivered')),
    cancelFulfillment: (step) =>
      this.#step(step, event('given up', step.fulfillmentId), () => void this.#move(step.fulfillmentId, 'cancelled')),
    failDelivery: (step) =>
      this.#step(step, event('lost', step.fulfillmentId), () => void this.#move(step.fulfillmentId, 'failed')),
    withdrawCancellation: (step) => this.#step(step, 'cancellation withdrawn', () => undefined),
    correct: (step) =>
      this.#step(step, 'corrected', () => {
        this.#correct(step.decisionId);
        this.generations[step.slot] = step.generation;
      }),
    checkDecision: ({ decisionId, auditId }) =>
      this.recordedDecisions.get(decisionId) === auditId
        ? Promise.resolve()
        : Promise.reject(new DomainFailure('decision_not_allowed', `decision '${decisionId}' is not recorded`)),
    openAttention: (step) =>
      this.#step(step, `attention ${step.step}`, () => void this.attentions.set(step.attentionId, { ...step })),
    closeAttention: (step) =>
      this.#step(
        step,
        'attention closed',
        () => {
          const attention = this.attentions.get(step.attentionId);
          if (attention === undefined) throw new DomainFailure('not_found', `no attention ${step.attentionId}`);
          attention.closed = step.how;
        },
        'also at the end',
      ),
    finish: (step) => this.#step(step, `finished ${step.status}`, () => this.#finish(step.status, step.reason)),
  };

  /** Attentions that wait for a person, oldest first. */
  openAttentions(): Attention[] {
    return [...this.attentions.values()].filter(({ closed }) => closed === undefined);
  }

  async #step<T>({ key }: StepRef, happens: string, effect: () => T, when?: 'also at the end'): Promise<T> {
    if (this.#tombstones.has(key)) throw new DomainFailure('step_undone', `step ${key} was undone`);
    if (this.#results.has(key)) return this.#results.get(key) as T;
    if (isTerminal(this.status) && when === undefined) {
      throw new DomainFailure('illegal_transition', `the order is ${this.status}: too late for ${key}`);
    }
    const result = effect();
    this.#results.set(key, result);
    this.#options.note(happens);
    return result;
  }

  #reserve(): ReservationResult {
    const { orderId, facts, weights, outOfStock } = this.#options;
    if (outOfStock) return { outcome: 'out_of_stock', skus: ['sku-1'] };
    if (this.fulfillments.some(({ stock }) => stock === 'reserved')) throw new Error('reserved twice');
    const reserved = allocate(facts.totalMinor, weights).map((amountMinor, index): StoredFulfillment => {
      const id = `${orderId}-${this.fulfillments.length + index + 1}`;
      return { id, amountMinor, status: 'pending', shipmentId: null, stock: 'reserved' };
    });
    this.fulfillments.push(...reserved);
    const planned = reserved.map(({ id, amountMinor }) => ({ id, location: 'main', amountMinor }));
    return { outcome: 'reserved', fulfillments: planned };
  }

  #become(to: OrderStatus): void {
    if (!mayBecome(this.status, to)) {
      throw new DomainFailure('illegal_transition', `the order is ${this.status} and cannot become ${to}`);
    }
    this.status = to;
  }

  #move(fulfillmentId: string, to: FulfillmentStatus): StoredFulfillment {
    const found = this.fulfillments.find(({ id }) => id === fulfillmentId);
    if (found === undefined) throw new DomainFailure('not_found', `no fulfillment ${fulfillmentId}`);
    if (found.status !== to && !fulfillmentMayBecome(found.status, to)) {
      throw new DomainFailure('illegal_transition', `${fulfillmentId} is ${found.status} and cannot become ${to}`);
    }
    found.status = to;
    return found;
  }

  #correct(decisionId: string): void {
    const ends = [...this.attentions.values()].map(({ closed }) => closed);
    if (ends.some((end) => end?.by === 'decision' && end.decisionId === decisionId && end.action === 'retry')) return;
    const correction = this.corrections.get(decisionId);
    if (correction === undefined) throw new DomainFailure('not_found', `decision ${decisionId} carries no correction`);
    const { facts } = this.#options;
    facts.token = correction.token ?? facts.token;
    facts.postalCode = correction.postalCode ?? facts.postalCode;
  }

  #finish(status: TerminalStatus, reason: string | null): void {
    for (const fulfillment of this.fulfillments) {
      const open = fulfillment.status === 'pending' || fulfillment.status === 'booked';
      if (open && status !== 'completed') fulfillment.status = 'cancelled';
    }
    // What a lost workflow left open is over with the order.
    for (const attention of this.openAttentions()) this.attentions.set(attention.attentionId, { ...attention, closed });
    this.#become(status);
    this.reason = reason;
  }
}

const closed: AttentionEnd = { by: 'cancellation' };

function event(what: string, fulfillmentId: string | undefined): string {
  return fulfillmentId === undefined ? what : `${what} ${fulfillmentId.slice(fulfillmentId.lastIndexOf('-') + 1)}`;
}
