import { createHash, randomUUID } from 'node:crypto';
import type { z } from 'zod';
import { CallbackSender } from './callbacks.ts';
import { CarrierClock, type CarrierDelays } from './carrier-clock.ts';
import { type Dependency, type Effect, type Fact, type OperationFact, factSchema } from './facts.ts';
import { Journal } from './journal.ts';
import { Payments, type PaymentDecision, type paymentBodies } from './payments.ts';
import { Problem } from './problem.ts';
import { type CarrierDecision, type Shipment, Shipments, type bookBody } from './shipments.ts';

export interface WorldOptions extends CarrierDelays {
  readonly journalPath: string;
  /** Where the carrier reports to; it keeps its messages until it knows. */
  readonly callbackUrl: string | undefined;
  readonly callbackSecret: string;
}

type PaymentBodies = { [K in keyof typeof paymentBodies]: z.infer<(typeof paymentBodies)[K]> };
/** A checked request under its idempotency key. */
export type Request = { readonly key: string } & (
  | { readonly operation: 'authorize'; readonly body: PaymentBodies['authorize'] }
  | { readonly operation: 'capture'; readonly body: PaymentBodies['capture'] }
  | { readonly operation: 'void'; readonly body: PaymentBodies['void'] }
  | { readonly operation: 'refund'; readonly body: PaymentBodies['refund'] }
  | { readonly operation: 'book'; readonly body: z.infer<typeof bookBody> }
  | { readonly operation: 'cancel'; readonly body: { readonly shipmentId: string } }
);

/**
 * The gateway and the carrier with all that happened to them. Each change is decided, applied and queued for the disk
 * in one go of the event loop, so there is nothing between two requests; whoever answers waits for `flushed` first.
 */
export class World {
  readonly effects: Effect[] = [];
  readonly #journal: Journal<Fact>;
  readonly #payments = new Payments();
  readonly #shipments = new Shipments();
  readonly #operations: Readonly<Record<Dependency, Map<string, OperationFact>>> = {
    payments: new Map(),
    carrier: new Map(),
  };
  readonly #clock: CarrierClock;
  readonly #callbacks: CallbackSender;

  private constructor(journal: Journal<Fact>, facts: readonly Fact[], options: WorldOptions) {
    this.#journal = journal;
    for (const fact of facts) this.#apply(fact);
    // A move can only fail because the disk does, and that shows in `failed`.
    const { dispatchAfterMs, deliverAfterMs } = options;
    this.#clock = new CarrierClock(
      { dispatchAfterMs, deliverAfterMs },
      (shipmentId, kind) => void this.move(shipmentId, kind).catch(() => null),
    );
    this.#callbacks = new CallbackSender({
      url: options.callbackUrl,
      secret: options.callbackSecret,
      acknowledged: (messageId) => this.#record({ type: 'acknowledged', messageId, at: new Date().toISOString() }),
    });
    for (const shipment of this.#shipments.moving()) this.#clock.plan(shipment);
    for (const message of this.#shipments.unacknowledged()) this.#callbacks.send(message);
  }

  /** Reads what happened before and goes on from there. Throws `JournalError`. */
  static async open(options: WorldOptions): Promise<World> {
    const { journal, facts } = await Journal.open(options.journalPath, (json) => factSchema.parse(json));
    return new World(journal, facts, options);
  }

  /** Rejects when the disk refused a write: this world can promise nothing any more. */
  get failed(): Promise<never> {
    return this.#journal.failed;
  }

  get settings(): CarrierDelays & { readonly callbackUrl: string | null } {
    return { ...this.#clock.delays, callbackUrl: this.#callbacks.url ?? null };
  }

  configure(delays: CarrierDelays, callbackUrl: string | undefined): void {
    this.#clock.change(delays, this.#shipments.moving());
    if (callbackUrl !== undefined) this.#callbacks.sendTo(callbackUrl);
  }

  find(dependency: Dependency, key: string): OperationFact | undefined {
    return this.#operations[dependency].get(key);
  }

  shipment(shipmentId: string): Shipment {
    return this.#shipments.find(shipmentId);
  }

  /**
   * Does what is asked, once per key: a repeat gets the first answer (`repeated`). Throws a `Problem` for a key that
   * was used for something else (422), or for a request that makes no sense; that one leaves nothing behind.
   */
  perform(request: Request): { readonly fact: OperationFact; readonly repeated: boolean } {
    const { operation, key, body } = request;
    const dependency: Dependency = operation === 'book' || operation === 'cancel' ? 'carrier' : 'payments';
    const fingerprint = createHash('sha256')
      .update(`${operation} ${JSON.stringify(body)}`)
      .digest('hex');
    const known = this.find(dependency, key);
    if (known) {
      if (known.fingerprint === fingerprint) return { fact: known, repeated: true };
      throw new Problem(422, 'key_reused', `the key '${key}' was used for another ${known.operation} request`);
    }
    const { result, effect } = this.#decide(request);
    const orderId = 'orderId' in body ? body.orderId : this.shipment(body.shipmentId).orderId;
    const frame = { key, orderId, at: new Date().toISOString() };
    const fact: OperationFact = {
      type: 'operation',
      dependency,
      operation,
      fingerprint,
      ...frame,
      result,
      effect: effect && { ...effect, ...frame },
    };
    this.#record(fact);
    if (fact.effect && 'shipmentId' in fact.effect) this.#clock.plan(this.shipment(fact.effect.shipmentId));
    return { fact, repeated: false };
  }

  /** Moves a shipment on and tells of it, once what happened is on disk. Throws a `Problem` if it cannot move so. */
  async move(shipmentId: string, kind: 'dispatched' | 'delivered'): Promise<Shipment> {
    if (this.#shipments.mayMove(shipmentId, kind)) {
      const messageId = `msg_${randomUUID()}`;
      this.#record({ type: 'moved', shipmentId, kind, messageId, at: new Date().toISOString() });
      this.#clock.plan(this.shipment(shipmentId));
      await this.flushed();
      const message = this.#shipments.message(messageId);
      if (message) this.#callbacks.send(message);
    }
    return this.shipment(shipmentId);
  }

  async flushed(): Promise<void> {
    await this.#journal.flushed();
  }

  async close(): Promise<void> {
    this.#clock.stop();
    this.#callbacks.stop();
    await this.#journal.close();
  }

  #decide(request: Request): PaymentDecision | CarrierDecision {
    switch (request.operation) {
      case 'authorize':
        return this.#payments.authorize(request.body);
      case 'capture':
        return this.#payments.capture(request.body);
      case 'void':
        return this.#payments.void(request.body);
      case 'refund':
        return this.#payments.refund(request.body);
      case 'book':
        return this.#shipments.book(request.body);
      case 'cancel':
        return this.#shipments.cancel(request.body.shipmentId);
      default:
        return request satisfies never;
    }
  }

  #record(fact: Fact): void {
    this.#apply(fact);
    this.#journal.append(fact);
  }

  #apply(fact: Fact): void {
    if (fact.type !== 'operation') {
      this.#shipments.applyFact(fact);
      return;
    }
    this.#operations[fact.dependency].set(fact.key, fact);
    if (!fact.effect) return;
    this.effects.push(fact.effect);
    this.#payments.apply(fact.effect);
    this.#shipments.apply(fact.effect);
  }
}
