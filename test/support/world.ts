import { Context } from '@temporalio/activity';
import { type Activities, type ActivityPorts, createActivities } from '../../src/activities/activities.ts';
import { DomainFailure, type FailureCode } from '../../src/domain/failures.ts';
import type { Attempt, ScreeningResult } from '../../src/domain/step-ports.ts';
import { recordedPayments, recordedShipping } from '../../src/domain/provider-effects.ts';
import { notOfOrders } from './memory-delivery.ts';
import { MemoryJournal, type OrderFacts } from './memory-effects.ts';
import { MemoryCarrier, MemoryGateway } from './memory-providers.ts';
import { MemoryStore } from './memory-store.ts';
import { unsound } from './soundness.ts';

/** What can be scripted: every activity, and the providers' look-up. */
export type Scripted = keyof Activities | 'lookup';

/** How one attempt goes wrong. An attempt at a provider is its call: the journal around it is the real one. */
export type Fault =
  /** Fails without its effect. */
  | { readonly at: 'before'; readonly code: FailureCode; readonly retryAfterMs?: number }
  /** Has its effect, and the answer is lost. */
  | { readonly at: 'after'; readonly code: FailureCode }
  /** The answer is lost, and the effect comes when the test lets it land. */
  | { readonly at: 'late' }
  /** Never answers, until it is aborted. */
  | { readonly at: 'never' }
  /** Is on its way until the test releases it, and fails then without its effect. */
  | { readonly at: 'held'; readonly code: FailureCode }
  /** The provider refuses, for good, under this key. */
  | { readonly at: 'refused'; readonly reason: string };

export const before = (code: FailureCode = 'provider_unavailable', retryAfterMs?: number): Fault => ({
  at: 'before',
  code,
  ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
});
export const after = (code: FailureCode = 'provider_timeout'): Fault => ({ at: 'after', code });
export const late: Fault = { at: 'late' };
export const never: Fault = { at: 'never' };
export const held = (code: FailureCode = 'provider_unavailable'): Fault => ({ at: 'held', code });
export const refused = (reason: string): Fault => ({ at: 'refused', reason });

export interface Call {
  readonly activity: keyof Activities;
  readonly key: string;
  readonly attempt: number;
  readonly local: boolean;
}

export interface WorldOptions {
  readonly totalMinor?: number;
  readonly weights?: readonly number[];
  readonly verdict?: ScreeningResult;
  readonly outOfStock?: boolean;
}

/** Everything outside one order's workflow, in memory: our store, the journal, a gateway and a carrier. */
export class World {
  readonly orderId: string;
  readonly facts: OrderFacts;
  readonly events: string[] = [];
  readonly calls: Call[] = [];
  readonly journal: MemoryJournal;
  readonly gateway: MemoryGateway;
  readonly carrier: MemoryCarrier;
  readonly store: MemoryStore;
  readonly activities: Activities;
  readonly #scripts = new Map<Scripted, Fault[]>();
  readonly #always = new Map<Scripted, Fault>();
  readonly #late: (() => Promise<unknown>)[] = [];
  readonly #held: (() => void)[] = [];
  readonly #watchers = new Set<() => void>();
  /** How many local activities of this order ever ran at the same time. */
  mostLocalAtOnce = 0;
  #localNow = 0;

  constructor(orderId: string, options: WorldOptions = {}) {
    const { totalMinor = 1000, weights = [1], verdict = { verdict: 'approve' }, outOfStock = false } = options;
    this.orderId = orderId;
    this.facts = { totalMinor, currency: 'GBP', token: 'tok_visa', postalCode: 'AB1' };
    const note = (happened: string): void => this.#note(happened);
    this.journal = new MemoryJournal(this.facts, {
      settled: () => this.#changed(),
      fulfillment: (id) => this.store.fulfillments.find((fulfillment) => fulfillment.id === id),
    });
    this.gateway = new MemoryGateway(note);
    this.carrier = new MemoryCarrier(note);
    this.store = new MemoryStore({ orderId, facts: this.facts, weights, verdict, outOfStock, note });
    this.activities = createActivities(this.#ports());
  }

  /** The next attempts at `activity` go wrong so, one after the other. */
  script(activity: Scripted, ...faults: Fault[]): this {
    this.#scripts.set(activity, [...(this.#scripts.get(activity) ?? []), ...faults]);
    return this;
  }

  /** All attempts at `activity` go wrong so, until `heal`. */
  always(activity: Scripted, fault: Fault): this {
    this.#always.set(activity, fault);
    return this;
  }

  heal(activity: Scripted): void {
    this.#always.delete(activity);
  }

  /** The effects of `late` attempts happen now. */
  async land(): Promise<void> {
    for (const effect of this.#late.splice(0)) await effect();
  }

  /** Waits until an attempt is held. */
  async holds(): Promise<void> {
    await this.until('an attempt is held', () => this.#held.length > 0);
  }

  /** Lets the attempts that are `held` end. */
  release(): void {
    for (const letGo of this.#held.splice(0)) letGo();
  }

  /** Resolves as soon as `holds` does; rejects with all that happened after forty seconds. */
  async until(what: string, holds: () => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const check = (): void => {
      if (holds()) resolve();
    };
    const deadline = setTimeout(() => reject(new Error(`waited in vain until ${what}\n${this.describe()}`)), 40_000);
    this.#watchers.add(check);
    check();
    try {
      await promise;
    } finally {
      clearTimeout(deadline);
      this.#watchers.delete(check);
    }
  }

  attempts(activity: keyof Activities): Call[] {
    return this.calls.filter((call) => call.activity === activity);
  }

  /** The distinct keys that `activity` was called with, without the workflow's id, in order. */
  keys(activity: keyof Activities): string[] {
    return [...new Set(this.attempts(activity).map(({ key }) => key.replace(`order-${this.orderId}:`, '')))];
  }

  happened(event: string): number {
    return this.events.filter((happened) => happened === event).length;
  }

  record(call: Call): void {
    this.calls.push(call);
    this.#changed();
  }

  /** Runs a local activity, counted while it runs. */
  async local<T>(activity: () => Promise<T>): Promise<T> {
    this.#localNow += 1;
    this.mostLocalAtOnce = Math.max(this.mostLocalAtOnce, this.#localNow);
    try {
      // Long enough for one that was begun in the same task to be seen.
      await new Promise((resolve) => setImmediate(resolve));
      return await activity();
    } finally {
      this.#localNow -= 1;
    }
  }

  describe(): string {
    const calls = this.calls.map(({ activity, key, attempt, local }) =>
      [activity, key, attempt, local ? 'local' : 'durable'].join(' '),
    );
    return `events:\n  ${this.events.join('\n  ')}\ncalls:\n  ${calls.join('\n  ')}`;
  }

  /** Throws, with all that happened, if a promise of the system is broken. Call it at the order's end. */
  assertSound(): void {
    const broken = unsound(this);
    if (broken.length > 0) throw new Error(`${broken.join('\n')}\n${this.describe()}`);
  }

  #note(event: string): void {
    this.events.push(event);
    this.#changed();
  }

  #changed(): void {
    for (const watcher of this.#watchers) watcher();
  }

  async #attempt<T>(
    activity: Scripted,
    effect: () => Promise<T>,
    { signal, refuse }: { signal?: AbortSignal; refuse?: (reason: string) => void } = {},
  ): Promise<T> {
    const fault = this.#scripts.get(activity)?.shift() ?? this.#always.get(activity);
    if (fault === undefined) return effect();
    switch (fault.at) {
      case 'before':
        throw failure(fault.code, activity, fault.retryAfterMs);
      case 'after':
        await effect();
        throw failure(fault.code, activity);
      case 'late':
        this.#late.push(effect);
        throw failure('provider_timeout', activity);
      case 'never':
        await aborted(signal ?? Context.current().cancellationSignal);
        throw failure('provider_timeout', activity);
      case 'held': {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#held.push(resolve);
        this.#changed();
        await promise;
        throw failure(fault.code, activity);
      }
      case 'refused':
        if (refuse === undefined) throw new Error(`'${activity}' is no provider's and cannot be refused`);
        refuse(fault.reason);
        return effect();
      default:
        return fault satisfies never;
    }
  }

  #ports(): ActivityPorts {
    return {
      screening: this.#own(this.store.screening, { screen: 'screen' }),
      stock: this.#own(this.store.stock, { reserve: 'reserve', release: 'release' }),
      orders: this.#own(this.store.orders, {
        confirm: 'confirm',
        dispatch: 'dispatch',
        deliver: 'deliver',
        failDelivery: 'failDelivery',
        cancelFulfillment: 'cancelFulfillment',
        withdrawCancellation: 'withdrawCancellation',
        correct: 'correct',
        checkDecision: 'checkDecision',
        openAttention: 'openAttention',
        closeAttention: 'closeAttention',
        finish: 'finish',
      }),
      payments: this.#payments(),
      shipping: this.#shipping(),
      ...notOfOrders,
    };
  }

  /** Our own steps, each under the name of its activity; the compiler sees that none is missing. */
  #own<Port extends object>(port: Port, names: Readonly<Record<keyof Port & string, keyof Activities>>): Port {
    const wrapped = Object.entries<keyof Activities>(names).map(([method, activity]) => {
      const effect = Reflect.get(port, method) as (input: unknown) => Promise<unknown>;
      return [method, (input: unknown) => this.#attempt(activity, () => effect(input))] as const;
    });
    return Object.fromEntries(wrapped) as Port;
  }

  #payments(): ActivityPorts['payments'] {
    const { gateway } = this;
    const refusal =
      (key: string) =>
      (reason: string): void =>
        gateway.refuse(key, { outcome: 'refused', reason });
    return recordedPayments(this.journal, {
      authorize: (key, request, { signal }) =>
        this.#attempt('authorize', () => gateway.authorize(key, request), {
          signal,
          refuse: (reason) => gateway.refuse(key, { outcome: 'declined', reason }),
        }),
      capture: (key, request, { signal }) =>
        this.#attempt('capture', () => gateway.capture(key, request), { signal, refuse: refusal(key) }),
      void: (key, request, { signal }) =>
        this.#attempt('undoAuthorize', () => gateway.void(key, request), { signal, refuse: refusal(key) }),
      refund: (key, request, { signal }) =>
        this.#attempt('undoCapture', () => gateway.refund(key, request), { signal, refuse: refusal(key) }),
      lookup: (key, { signal }) => this.#attempt('lookup', () => gateway.lookup(key), { signal }),
    });
  }

  #shipping(): ActivityPorts['shipping'] {
    const { carrier } = this;
    return recordedShipping(this.journal, {
      book: (key, request, { signal }: Attempt) =>
        this.#attempt('book', () => carrier.book(key, request), {
          signal,
          refuse: (reason) => carrier.refuse(key, { outcome: 'refused', reason }),
        }),
      cancel: (key, request, { signal }) => this.#attempt('undoBook', () => carrier.cancel(key, request), { signal }),
      lookup: (key, { signal }) => this.#attempt('lookup', () => carrier.lookup(key), { signal }),
    });
  }
}

function failure(code: FailureCode, activity: Scripted, retryAfterMs?: number): DomainFailure {
  return new DomainFailure(code, `${activity} as scripted`, retryAfterMs === undefined ? {} : { retryAfterMs });
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}
