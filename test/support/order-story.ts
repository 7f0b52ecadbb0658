/** Orders' ways through real stores and a real journal, with what may happen on them: every store call is one moment. */
import { recordedPayments, undoStray } from '../../src/domain/provider-effects.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import type { PaymentGateway, Payments } from '../../src/domain/provider-ports.ts';
import type { Attempt, PlannedFulfillment } from '../../src/domain/step-ports.ts';
import { MemoryGateway } from './memory-providers.ts';
import type { Shop, Stores } from './store-conformance/shop.ts';

export const twists = [
  'nothing special',
  'a lost answer of the authorization',
  'a lost answer of the capture',
  'a card that was corrected after its authorization',
  'an authorization that lands after its order was cancelled',
  'an authorization that lands after its successor',
  'a void that a person saw to',
  'a refused capture that is tried anew',
  'a capture that lands after it was written off',
  'a cancellation after the confirmation',
  'one fulfillment of two cancelled',
  'both fulfillments lost on their way',
] as const;
export type Twist = (typeof twists)[number];

const attempt: Attempt = { signal: new AbortController().signal };
const money = { currency: 'GBP' } as const;

export class OrderStory {
  readonly #stores: Stores;
  readonly #shop: Shop;
  readonly #payments: Payments;
  readonly #gateway = new MemoryGateway();
  readonly #lost = new Set<'authorize' | 'capture'>();
  readonly #landing: (() => Promise<unknown>)[] = [];
  readonly #late = new Set<'authorize' | 'capture'>();

  /** `look` is called after every call of a store and of the gateway. */
  constructor(stores: Stores, shop: Shop, look: () => Promise<void>) {
    const looked = <Port extends object>(port: Port): Port =>
      new Proxy(port, {
        get: (target, name) => {
          const method = Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>;
          return async (...args: unknown[]) => {
            const result = await method.apply(target, args);
            await look();
            return result;
          };
        },
      });
    this.#stores = {
      ...stores,
      stock: looked(stores.stock),
      orders: looked(stores.orders),
      effects: looked(stores.effects),
    };
    this.#shop = shop;
    this.#payments = recordedPayments(this.#stores.effects, looked(this.#troubled()));
  }

  /** An order's whole way, to its end. */
  async tell(chosen: readonly Twist[]): Promise<void> {
    const has = (twist: Twist): boolean => chosen.includes(twist);
    const { orders } = this.#stores;
    const two = has('one fulfillment of two cancelled') || has('both fulfillments lost on their way');
    const sku = await this.#shop.sku(two ? { east: 1, west: 1 } : { main: 5 });
    const { id } = await this.#shop.accept([{ sku, quantity: 2 }]);
    const { fulfillments } = (await this.#stores.stock.reserve(this.#step(id, 'reserve'))) as {
      fulfillments: readonly PlannedFulfillment[];
    };
    const authorizeKey = await this.#authorize(id, has);
    if (authorizeKey === undefined) {
      // Where it lands later, the void is done, and a person has nothing to see to.
      const isVoided = has('an authorization that lands after its order was cancelled');
      return this.#giveBack(id, !isVoided && has('a void that a person saw to'));
    }
    await orders.confirm(this.#step(id, 'confirm'));
    if (has('a cancellation after the confirmation')) {
      await this.#undoAuthorize(id, authorizeKey);
      return this.#giveBack(id);
    }
    const [cancelled] = has('one fulfillment of two cancelled') ? fulfillments.slice(-1) : [];
    for (const fulfillment of fulfillments) {
      if (fulfillment !== cancelled) await this.#fulfill(id, fulfillment, authorizeKey, has);
    }
    if (cancelled !== undefined) {
      const { id: fulfillmentId } = cancelled;
      await orders.cancelFulfillment({ ...this.#step(id, 'cancel_shipment', fulfillmentId), fulfillmentId });
      const undoes = this.#step(id, 'reserve').key;
      await this.#stores.stock.release({ ...this.#step(id, 'release', fulfillmentId), undoes, fulfillmentId });
      await this.#undoAuthorize(id, authorizeKey);
    }
    const lost = has('both fulfillments lost on their way');
    const status = lost ? 'cancelled' : cancelled === undefined ? 'completed' : 'partially_completed';
    await orders.finish({ ...this.#step(id, 'finish'), status, reason: null });
    await this.#tidy();
  }

  /** The key of what is authorized; undefined where the order is to be cancelled. */
  async #authorize(id: string, has: (twist: Twist) => boolean): Promise<string | undefined> {
    const first = this.#step(id, 'authorize');
    if (has('a lost answer of the authorization')) this.#lost.add('authorize');
    const superseded = has('an authorization that lands after its successor');
    if (superseded || has('an authorization that lands after its order was cancelled')) this.#late.add('authorize');
    await this.#insist(() => this.#payments.authorize(first, attempt), this.#late.size > 0);
    const late = superseded || has('an authorization that lands after its order was cancelled');
    if (late) {
      this.#late.clear();
      await this.#payments.undoAuthorize({ ...this.#step(id, 'void'), undoes: first.key, final: true }, attempt);
      if (!superseded) return undefined;
    } else if (has('a void that a person saw to')) {
      await this.#skip(id, 'void', first.key, 'authorize');
      return undefined;
    } else if (has('a card that was corrected after its authorization')) {
      await this.#undoAuthorize(id, first.key);
    } else return first.key;
    const second = this.#step(id, 'authorize', undefined, 2);
    await this.#insist(() => this.#payments.authorize(second, attempt), false);
    await this.#land();
    return second.key;
  }

  async #fulfill(
    orderId: string,
    { id: fulfillmentId, amountMinor }: PlannedFulfillment,
    authorizeKey: string,
    has: (twist: Twist) => boolean,
  ): Promise<void> {
    const { orders } = this.#stores;
    const at = new Date().toISOString();
    const about = { fulfillmentId, amountMinor, ...money, authorizeKey };
    await orders.dispatch({ ...this.#step(orderId, 'dispatch', fulfillmentId), fulfillmentId, at });
    const first = this.#step(orderId, 'capture', fulfillmentId);
    const undoFirst = {
      ...this.#step(orderId, 'refund', fulfillmentId),
      undoes: first.key,
      fulfillmentId,
      final: true,
    };
    if (has('a lost answer of the capture')) this.#lost.add('capture');
    if (has('a refused capture that is tried anew')) {
      this.#gateway.refuse(first.key, { outcome: 'refused', reason: 'try_later' });
    }
    const writtenOff = has('a capture that lands after it was written off');
    if (writtenOff) this.#late.add('capture');
    await this.#insist(() => this.#payments.capture({ ...first, ...about }, attempt), writtenOff);
    if (writtenOff) {
      this.#late.clear();
      await this.#payments.undoCapture(undoFirst, attempt);
      await this.#land();
    } else if (has('a refused capture that is tried anew')) {
      const again = this.#step(orderId, 'capture', fulfillmentId, 2);
      await this.#insist(() => this.#payments.capture({ ...again, ...about }, attempt), false);
      undoFirst.undoes = again.key;
    }
    if (has('both fulfillments lost on their way')) {
      await this.#payments.undoCapture(undoFirst, attempt);
      await orders.failDelivery({ ...this.#step(orderId, 'fail_delivery', fulfillmentId), fulfillmentId, reason: 'x' });
    } else {
      await orders.deliver({ ...this.#step(orderId, 'deliver', fulfillmentId), fulfillmentId, at });
    }
  }

  async #giveBack(id: string, isSkipped = false): Promise<void> {
    const { orders, stock } = this.#stores;
    await stock.release({ ...this.#step(id, 'release'), undoes: this.#step(id, 'reserve').key });
    await orders.finish({ ...this.#step(id, 'finish'), status: 'cancelled', reason: 'x' });
    await this.#land();
    if (!isSkipped) await this.#tidy();
  }

  async #undoAuthorize(id: string, undoes: string): Promise<void> {
    const generation = undoes.endsWith(':2') ? 2 : 1;
    await this.#payments.undoAuthorize(
      { ...this.#step(id, 'void', undefined, generation), undoes, final: true },
      attempt,
    );
  }

  /** The provider would not take it back, and a person saw to it there. */
  async #skip(orderId: string, step: 'void', undoes: string, kind: 'authorize'): Promise<void> {
    const { effects, orders } = this.#stores;
    await effects.tombstone({ orderId, key: undoes }, kind);
    const attention = { attentionId: 'a1', step, reason: 'refused', allowed: ['retry', 'skip'] } as const;
    await orders.openAttention({ ...this.#step(orderId, 'open_attention'), ...attention });
    const how = { by: 'decision', decisionId: 'd1', action: 'skip' } as const;
    await orders.closeAttention({ ...this.#step(orderId, 'close_attention'), attentionId: 'a1', how });
  }

  /** What was on its way has its effect, and its answer becomes known. */
  async #land(): Promise<void> {
    for (const effect of this.#landing.splice(0)) await effect();
    for (const { key, orderId, kind } of await this.#stores.effects.unsettled(0, 100)) {
      const found = await this.#gateway.lookup(key);
      if (found !== undefined) await this.#stores.effects.settle({ orderId, key }, kind, found);
    }
  }

  /** As the reconciler does once the order is at its end. */
  async #tidy(): Promise<void> {
    const shipping = { book: none, undoBook: none };
    for (const stray of await this.#stores.effects.strays(100)) {
      await undoStray({ payments: this.#payments, shipping }, stray, attempt);
    }
  }

  async #insist(call: () => Promise<unknown>, once: boolean): Promise<void> {
    try {
      await call();
    } catch (error) {
      if (!(error instanceof DomainFailure) || error.code !== 'provider_timeout') throw error;
      if (!once) await call();
    }
  }

  #troubled(): PaymentGateway {
    const gateway = this.#gateway;
    const wrong = async <T>(operation: 'authorize' | 'capture', effect: () => Promise<T>): Promise<T> => {
      if (this.#late.has(operation)) this.#landing.push(effect);
      else if (this.#lost.delete(operation)) await effect();
      else return effect();
      throw new DomainFailure('provider_timeout', 'no answer');
    };
    return {
      authorize: (key, request) => wrong('authorize', () => gateway.authorize(key, request)),
      capture: (key, request) => wrong('capture', () => gateway.capture(key, request)),
      void: (key, request) => gateway.void(key, request),
      refund: (key, request) => gateway.refund(key, request),
      lookup: (key) => gateway.lookup(key),
    };
  }

  #step(...args: Parameters<Shop['step']>): ReturnType<Shop['step']> {
    return this.#shop.step(...args);
  }
}

function none(): never {
  throw new Error('no story has a carrier');
}
