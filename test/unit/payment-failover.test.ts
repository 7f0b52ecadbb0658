import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { httpPaymentGateway } from '../../src/adapters/http/payment-gateway.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import { LONGEST_ATTEMPT_MS, type PaymentGateway } from '../../src/domain/provider-ports.ts';
import type { Attempt } from '../../src/domain/step-ports.ts';
import { type NamedGateway, failoverGateway, gatewayName } from '../../src/resilience/payment-failover.ts';
import { memoryPaymentRoutes } from '../support/memory-payment-routes.ts';
import { MemoryGateway } from '../support/memory-providers.ts';
import { paymentGatewayConformance } from '../support/provider-conformance.ts';
import { startSandbox } from '../support/sandbox.ts';

const KEY = 'order-1:authorize:1';
const money = { orderId: '1', amountMinor: 1_000, currency: 'GBP' };
const request = { ...money, token: 'tok_visa' };
const attempt = (): Attempt => ({ signal: new AbortController().signal });

function failing(gateway: MemoryGateway, code: 'breaker_open' | 'provider_unavailable' | 'provider_timeout') {
  const away = { isAway: true };
  const refuse = (): void => {
    if (away.isAway) throw new DomainFailure(code, `${code}, as scripted`);
  };
  const wrapped: PaymentGateway = {
    authorize: async (key, body) => (refuse(), gateway.authorize(key, body)),
    capture: async (key, body) => (refuse(), gateway.capture(key, body)),
    void: async (key, body) => (refuse(), gateway.void(key, body)),
    refund: async (key, body) => (refuse(), gateway.refund(key, body)),
    lookup: async (key) => (refuse(), gateway.lookup(key)),
  };
  return { away, wrapped };
}

function two(code: Parameters<typeof failing>[1] = 'provider_unavailable') {
  const clock = { nowMs: 0 };
  const first = new MemoryGateway();
  const second = new MemoryGateway();
  const { wrapped, away } = failing(first, code);
  const routes = memoryPaymentRoutes(() => clock.nowMs, LONGEST_ATTEMPT_MS);
  const told: string[] = [];
  const gateway = failoverGateway(
    [
      ['one', wrapped],
      ['two', second],
    ],
    routes,
    {
      movedOn: ({ provider }) => told.push(`moved on to ${provider}`),
      contradiction: ({ providers }) => told.push(`contradiction: ${providers.join(', ')}`),
    },
  );
  return { clock, first, second, away, routes, gateway, told };
}

describe('a key goes to the second gateway', () => {
  test('at once where the breaker of the first kept it from being sent', async () => {
    const { gateway, second, told } = two('breaker_open');
    expect(await gateway.authorize(KEY, request, attempt())).toEqual({
      outcome: 'authorized',
      authorizationId: `two~${second.authorizations[0]?.id}`,
    });
    expect(told).toEqual(['moved on to two']);
  });

  test('not because the first says that it is away: the effect may have happened', async () => {
    const { gateway, second, clock } = two('provider_unavailable');
    await expect(gateway.authorize(KEY, request, attempt())).rejects.toMatchObject({ code: 'provider_unavailable' });
    clock.nowMs += 60_000;
    await expect(gateway.lookup(KEY, attempt())).rejects.toMatchObject({ code: 'provider_unavailable' });
    await expect(gateway.authorize(KEY, request, attempt())).rejects.toMatchObject({ code: 'provider_unavailable' });
    expect(second.authorizations).toEqual([]);
  });

  test('not where another attempt may have been sent to the first before', async () => {
    const { gateway, second, routes } = two('breaker_open');
    await routes.open(KEY, '1', ['one', 'two']);
    await expect(gateway.authorize(KEY, request, attempt())).rejects.toMatchObject({ code: 'breaker_open' });
    expect(second.authorizations).toEqual([]);
  });

  test('not where it was requested before there was a second', async () => {
    const { gateway, second, away } = two('breaker_open');
    away.isAway = false;
    expect(await gateway.lookup(KEY, attempt())).toBeUndefined();
    away.isAway = true;
    await expect(gateway.authorize(KEY, request, attempt())).rejects.toMatchObject({ code: 'breaker_open' });
    expect(second.authorizations).toEqual([]);
  });

  test('once the first was asked after the longest attempt, and not a moment sooner', async () => {
    const { gateway, first, second, clock, away } = two('provider_timeout');
    await expect(gateway.authorize(KEY, request, attempt())).rejects.toMatchObject({ code: 'provider_timeout' });
    away.isAway = false;
    clock.nowMs = LONGEST_ATTEMPT_MS;
    expect(await gateway.lookup(KEY, attempt())).toBeUndefined();
    away.isAway = true;
    await expect(gateway.authorize(KEY, request, attempt())).rejects.toMatchObject({ code: 'provider_timeout' });
    away.isAway = false;
    clock.nowMs += LONGEST_ATTEMPT_MS + 1;
    expect(await gateway.lookup(KEY, attempt())).toBeUndefined();
    expect(await gateway.authorize(KEY, request, attempt())).toMatchObject({ authorizationId: 'two~auth-1' });
    expect([first.authorizations.length, second.authorizations.length]).toEqual([0, 1]);
  });
});

test('what the second authorized is captured, refunded and voided there, under its own ids', async () => {
  const { gateway, first, second, away } = two('breaker_open');
  const authorized = await gateway.authorize(KEY, request, attempt());
  away.isAway = false;
  const authorizationId = authorized.outcome === 'authorized' ? authorized.authorizationId : '';
  const part = { ...money, amountMinor: 400, authorizationId };
  const captured = await gateway.capture('order-1:capture:f1:1', part, attempt());
  expect(captured).toEqual({ outcome: 'captured', captureId: 'two~capture-1' });
  expect(await gateway.lookup('order-1:capture:f1:1', attempt())).toEqual(captured);
  await gateway.refund('order-1:refund:f1:1', { ...money, captureId: 'two~capture-1' }, attempt());
  await gateway.void('order-1:void:1', { ...money, authorizationId }, attempt());
  expect(second.captures).toMatchObject([{ refunded: true }]);
  expect(second.authorizations).toMatchObject([{ voided: true }]);
  expect(first.authorizations).toEqual([]);
});

test('what the second authorized stays its own once it is made the first', async () => {
  const { gateway, first, second, routes } = two('breaker_open');
  const authorized = await gateway.authorize(KEY, request, attempt());
  const authorizationId = authorized.outcome === 'authorized' ? authorized.authorizationId : '';
  const turned = failoverGateway(
    [
      ['two', second],
      ['one', first],
    ],
    routes,
  );
  expect(await turned.capture('order-1:capture:f1:1', { ...money, authorizationId }, attempt())).toMatchObject({
    outcome: 'captured',
  });
});

test('a gateway that was given up has a second to answer, and is told so: what it does not do in it is no outage', async () => {
  const { second, routes } = two();
  const deadlines: number[] = [];
  const first = Object.assign<PaymentGateway, Partial<PaymentGateway>>(new MemoryGateway(), {
    authorize: () => Promise.reject(new DomainFailure('breaker_open', 'not sent')),
    async lookup(_key, { deadline = Infinity }) {
      deadlines.push(deadline);
      return undefined;
    },
  });
  const gateway = failoverGateway(
    [
      ['one', first],
      ['two', second],
    ],
    routes,
  );
  await gateway.authorize(KEY, request, attempt());
  await gateway.lookup(KEY, attempt());
  expect(deadlines).toHaveLength(1);
  expect(deadlines[0]).toBeLessThanOrEqual(performance.now() + 1_000);
});

test('an id of the first that has the mark in it stays with the first', async () => {
  const { gateway, away } = two();
  away.isAway = false;
  const odd = { ...money, authorizationId: 'three~auth-1' };
  expect(await gateway.capture('order-1:capture:f1:1', odd, attempt())).toMatchObject({ outcome: 'refused' });
});

test('an effect that landed at a gateway that was given up counts, and somebody is told', async () => {
  const { gateway, first, told, away } = two('breaker_open');
  await gateway.authorize(KEY, request, attempt());
  away.isAway = false;
  await first.authorize(KEY, request);
  expect(await gateway.lookup(KEY, attempt())).toMatchObject({ authorizationId: 'two~auth-1' });
  expect(told).toEqual(['moved on to two', 'contradiction: one, two']);
});

test('a key that is with a gateway which is not configured any more waits, and says for which', async () => {
  const { gateway, routes } = two();
  await routes.open(KEY, '1', ['three']);
  const failure = { code: 'provider_unavailable', message: expect.stringContaining('three') };
  await expect(gateway.authorize(KEY, request, attempt())).rejects.toMatchObject(failure);
  await expect(gateway.lookup(KEY, attempt())).rejects.toMatchObject(failure);
});

test('nothing is sent once the attempt is over', async () => {
  const { gateway, first, second, away } = two();
  away.isAway = false;
  await expect(gateway.authorize(KEY, request, { signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: 'provider_timeout',
  });
  expect([...first.authorizations, ...second.authorizations]).toEqual([]);
});

test('one gateway alone is itself: no routes are kept', () => {
  const only = new MemoryGateway();
  expect(
    failoverGateway(
      [['one', only]],
      memoryPaymentRoutes(() => 0, LONGEST_ATTEMPT_MS),
    ),
  ).toBe(only);
});

test('a gateway that is listed twice is refused: its own failure would prove something of itself', () => {
  const [one, other] = [new MemoryGateway(), new MemoryGateway()];
  const twice: [NamedGateway, NamedGateway] = [
    ['one', one],
    ['one', other],
  ];
  expect(() =>
    failoverGateway(
      twice,
      memoryPaymentRoutes(() => 0, 0),
    ),
  ).toThrow('listed twice: one, one');
});

test('a gateway is called by where it is', () => {
  expect(gatewayName('https://pay.example.com:8443/a~b/')).toBe('pay.example.com:8443/a%7Eb');
});

paymentGatewayConformance('two gateways behind one', async () => {
  const { url, stop } = await startSandbox();
  const [first, second] = [httpPaymentGateway(url), httpPaymentGateway(url)];
  const gateways: [NamedGateway, NamedGateway] = [
    ['one', first],
    ['two', second],
  ];
  const gateway = failoverGateway(gateways, memoryPaymentRoutes(Date.now, LONGEST_ATTEMPT_MS));
  return { gateway, tokens: { accepted: 'tok_visa', declined: 'tok_declined' }, stop };
});

// ---- Whatever happens -------------------------------------------------------------------------------------------

const behavior = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ kind: 'well' as const }) },
  ...(['lost', 'down', 'not_sent', 'crash', 'crash_after_effect', 'store'] as const).map((kind) => ({
    weight: 2,
    arbitrary: fc.constant({ kind }),
  })),
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('late' as const), delayMs: fc.integer({ min: 1, max: 20_000 }) }),
  },
);
type Behavior = typeof behavior extends fc.Arbitrary<infer T> ? T : never;

const event = fc.record({
  attempt: fc.boolean(),
  advanceMs: fc.constantFrom(0, 0, 500, 5_000, LONGEST_ATTEMPT_MS, LONGEST_ATTEMPT_MS + 1, 60_000),
  steps: fc.integer({ min: 0, max: 6 }),
});

interface Pending {
  readonly atMs: number;
  land(): void;
}

/** Two gateways, a network between that loses, delays and breaks, and attempts that die: under a clock of its own. */
class Play {
  readonly authorizations: string[] = [];
  readonly declared: string[] = [];
  nowMs = 0;
  calm = false;
  #behaviors: Behavior[];
  #pending: Pending[] = [];
  readonly #attempts: { readonly endMs: number; readonly end: AbortController }[] = [];
  readonly #scheduler: fc.Scheduler;
  readonly #gateway: PaymentGateway;
  readonly #landed = new Map<string, string>();
  #requested = false;
  #settled = false;

  constructor(behaviors: readonly Behavior[], scheduler: fc.Scheduler) {
    this.#behaviors = [...behaviors];
    this.#scheduler = scheduler;
    const routes = memoryPaymentRoutes(() => this.nowMs, LONGEST_ATTEMPT_MS);
    const stored =
      <A extends readonly unknown[], R>(work: (...args: A) => Promise<R>) =>
      async (...args: A) => {
        await this.#step();
        const result = await work(...args);
        await this.#step();
        if (this.#take() === 'store') throw new DomainFailure('store_unavailable', 'the answer to the commit was lost');
        return result;
      };
    const { open, withdraw, find, clear, suspect } = routes;
    this.#gateway = failoverGateway(
      [
        ['one', this.#provider('one')],
        ['two', this.#provider('two')],
      ],
      {
        open: stored(open),
        withdraw: stored(withdraw),
        find: stored(find),
        clear: stored(clear),
        suspect: stored(suspect),
      },
    );
  }

  advance(ms: number): void {
    this.nowMs += ms;
    const due = this.#pending.filter(({ atMs }) => atMs <= this.nowMs);
    this.#pending = this.#pending.filter(({ atMs }) => atMs > this.nowMs);
    for (const { land } of due) land();
    for (const { endMs, end } of this.#attempts) if (endMs <= this.nowMs) end.abort();
  }

  /** One attempt of the step, as recordedPayments makes it. */
  async attempt(): Promise<void> {
    const end = new AbortController();
    this.#attempts.push({ endMs: this.nowMs + LONGEST_ATTEMPT_MS, end });
    const call: Attempt = { signal: end.signal };
    const first = !this.#requested;
    this.#requested = true;
    await this.#step();
    if (this.#settled) return;
    const known = first ? undefined : await this.#gateway.lookup(KEY, call);
    const outcome = known ?? (await this.#gateway.authorize(KEY, request, call));
    this.#settled = true;
    if (outcome.outcome === 'authorized') this.declared.push(outcome.authorizationId);
  }

  #provider(name: string): PaymentGateway {
    const land = (): string => {
      const id = this.#landed.get(name) ?? `auth-of-${name}`;
      if (!this.#landed.has(name)) this.authorizations.push(name);
      this.#landed.set(name, id);
      return id;
    };
    const never = (): never => {
      throw new Error('nothing else is asked for here');
    };
    return {
      authorize: async (_key, _request, { signal }) => {
        const kind = this.#take();
        const endMs = this.#attempts.find(({ end }) => end.signal === signal)?.endMs ?? this.nowMs;
        if (kind === 'not_sent') throw new DomainFailure('breaker_open', 'not sent');
        if (kind === 'crash') return new Promise<never>(() => undefined);
        if (typeof kind === 'number') {
          this.#pending.push({ atMs: Math.min(this.nowMs + kind, endMs), land: () => void land() });
        } else if (kind !== 'down') land();
        if (kind === 'crash_after_effect') return new Promise<never>(() => undefined);
        await this.#step();
        if (kind === 'down') throw new DomainFailure('provider_unavailable', 'down');
        if (kind !== 'well' || signal.aborted) throw new DomainFailure('provider_timeout', 'no answer');
        return { outcome: 'authorized', authorizationId: land() };
      },
      lookup: async () => {
        const kind = this.#take();
        if (kind === 'not_sent') throw new DomainFailure('breaker_open', 'not sent');
        if (kind === 'down' || typeof kind === 'number') throw new DomainFailure('provider_unavailable', 'down');
        await this.#step();
        const authorizationId = this.#landed.get(name);
        await this.#step();
        return authorizationId === undefined ? undefined : { outcome: 'authorized', authorizationId };
      },
      capture: never,
      void: never,
      refund: never,
    };
  }

  #take(): Exclude<Behavior['kind'], 'late'> | number {
    const next = this.calm ? undefined : this.#behaviors.shift();
    if (next === undefined) return 'well';
    return 'delayMs' in next ? next.delayMs : next.kind;
  }

  async #step(): Promise<void> {
    if (!this.calm) await this.#scheduler.schedule(Promise.resolve());
  }
}

test('whatever crashes, is lost, comes late or is away: never two authorizations, and in the end one', async () => {
  const play = fc.asyncProperty(
    fc.scheduler(),
    fc.array(behavior, { maxLength: 40 }),
    fc.array(event, { minLength: 1, maxLength: 25 }),
    async (scheduler, behaviors, events) => {
      const world = new Play(behaviors, scheduler);
      for (const { attempt: begins, advanceMs, steps } of events) {
        if (begins) void world.attempt().catch(() => undefined);
        for (let step = 0; step < steps && scheduler.count() > 0; step += 1) await scheduler.waitOne();
        world.advance(advanceMs);
      }
      await scheduler.waitIdle();
      world.calm = true;
      for (let tries = 0; tries < 4; tries += 1) {
        world.advance(LONGEST_ATTEMPT_MS + 1);
        await world.attempt().catch(() => undefined);
      }
      expect(world.authorizations).toHaveLength(1);
      expect(new Set(world.declared).size).toBe(1);
    },
  );
  await fc.assert(play, { numRuns: 1_000 });
});
