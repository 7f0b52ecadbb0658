import { describe, expect, it } from 'vitest';
import type { AttemptResult, Verdict } from '../../src/domain/delivery.ts';
import type { DeliveryQueue, Settled, Settlement } from '../../src/domain/delivery-ports.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import type { OrderStatus } from '../../src/domain/order.ts';
import { httpCarrier } from '../../src/adapters/http/carrier.ts';
import { httpPaymentGateway } from '../../src/adapters/http/payment-gateway.ts';
import type { Carrier, PaymentGateway } from '../../src/domain/provider-ports.ts';
import { measuredQueue } from '../../src/telemetry/delivery-metrics.ts';
import { httpMetrics } from '../../src/telemetry/http-metrics.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { measuredCarrier, measuredGateway } from '../../src/telemetry/provider-metrics.ts';
import { storeMetrics } from '../../src/telemetry/store-metrics.ts';
import { claimed, delivered, failed } from '../support/memory-queue.ts';
import { countsOf, valuesOf } from '../support/metric-values.ts';

const bounds = { signal: new AbortController().signal };

describe('requests', () => {
  const answer = (method: string, route: string, status: number | null) => ({ method, route, status, durationMs: 20 });

  it('whose caller left are counted, and are nobody’s fault', async () => {
    const metrics = createMetrics(['process']);
    const answered = httpMetrics(metrics);
    answered(answer('GET', '/v1/orders/{id}', null));
    answered(answer('GET', '/v1/orders/{id}', 200));
    answered(answer('POST', '/v1/orders', 503));
    answered(answer('POST', '/v1/orders', 422));
    expect(await countsOf(metrics, 'httpRequests')).toEqual({
      'method=GET,route=/v1/orders/{id},status=aborted': 1,
      'method=GET,route=/v1/orders/{id},status=2xx': 1,
      'method=POST,route=/v1/orders,status=5xx': 1,
      'method=POST,route=/v1/orders,status=4xx': 1,
    });
    expect(await valuesOf(metrics, 'apiRequests')).toEqual({ '': 3 });
    expect(await valuesOf(metrics, 'apiGood')).toEqual({ '': 2 });
    expect(await countsOf(metrics, 'httpSeconds')).toEqual({ 'route=/v1/orders': 2, 'route=/v1/orders/{id}': 1 });
  });

  it('for what is not /v1 are none of its objective', async () => {
    const metrics = createMetrics(['process']);
    const answered = httpMetrics(metrics);
    for (const route of ['/livez', '/readyz', '(none)']) answered(answer('GET', route, 503));
    expect(await valuesOf(metrics, 'apiRequests')).toEqual({ '': 0 });
  });

  it('with a method that nobody offers count as one', async () => {
    const metrics = createMetrics(['process']);
    const answered = httpMetrics(metrics);
    answered(answer('PROPFIND', '(none)', 404));
    answered(answer('DELETE', '/v1/orders', 405));
    expect(await countsOf(metrics, 'httpRequests')).toEqual({
      'method=other,route=(none),status=4xx': 1,
      'method=other,route=/v1/orders,status=4xx': 1,
    });
  });
});

describe('changes of orders', () => {
  const createdAt = new Date('2026-01-01T00:00:00.000Z');
  const change = (from: OrderStatus | null, to: OrderStatus, afterMs = 0) => ({
    orderId: 'o1',
    from,
    to,
    createdAt,
    at: new Date(createdAt.getTime() + afterMs),
    events: ['evenkeel.order.corrected.v1'] as const,
  });

  it('are counted as acceptance, confirmation and end, and never again while the status stays', async () => {
    const metrics = createMetrics(['process']);
    const { changed } = storeMetrics(metrics);
    changed(change(null, 'received'));
    changed(change('received', 'confirmed', 400));
    changed(change('confirmed', 'confirmed', 500));
    changed(change('confirmed', 'fulfilling', 600));
    changed(change('fulfilling', 'completed', 700));
    changed(change('completed', 'completed', 800));
    expect(await valuesOf(metrics, 'ordersAccepted')).toEqual({ '': 1 });
    expect(await countsOf(metrics, 'ordersFinished')).toEqual({ 'outcome=completed': 1 });
    expect(await valuesOf(metrics, 'orderSeconds')).toEqual({ '': 1 });
    expect(await metrics.registry.metrics()).toContain('evenkeel_order_processing_duration_seconds_sum 0.4');
    expect(await countsOf(metrics, 'eventsPublished')).toEqual({ 'type=evenkeel.order.corrected.v1': 6 });
  });

  it('and statements are counted, failed ones too', async () => {
    const metrics = createMetrics(['process']);
    const { statement } = storeMetrics(metrics);
    statement({ sql: 'select 1', durationMs: 3, failed: false });
    statement({ sql: 'select 2', durationMs: 3, failed: true });
    expect(await valuesOf(metrics, 'storeStatements')).toEqual({ 'outcome=completed': 1, 'outcome=failed': 1 });
    expect(await valuesOf(metrics, 'storeSeconds')).toEqual({ '': 2 });
  });
});

describe('calls of a provider', () => {
  const request = { orderId: 'o1', amountMinor: 1, currency: 'GBP', token: 't' };

  it('that fail are counted, and fail as they did', async () => {
    const metrics = createMetrics(['process']);
    const failure = new DomainFailure('provider_unavailable', 'away');
    const away: PaymentGateway['authorize'] = () => Promise.reject(failure);
    const gateway = measuredGateway({ ...httpPaymentGateway('http://127.0.0.1:1'), authorize: away }, metrics);
    await expect(gateway.authorize('k', request, bounds)).rejects.toBe(failure);
    await gateway.close();
    expect(await countsOf(metrics, 'providerCalls')).toEqual({
      'operation=authorize,outcome=failed,provider=payment': 1,
    });
    expect(await valuesOf(metrics, 'providerSeconds')).toEqual({ 'provider=payment': 1 });
  });

  it('that are refused by the business are answered like any other', async () => {
    const metrics = createMetrics(['process']);
    const refuse: Carrier['book'] = async () => ({ outcome: 'refused', reason: 'no' });
    const carrier = measuredCarrier({ ...httpCarrier('http://127.0.0.1:1'), book: refuse }, metrics);
    const shipment = { orderId: 'o1', fulfillmentId: 'f1', location: 'l', items: [], address };
    expect(await carrier.book('k', shipment, bounds)).toEqual({ outcome: 'refused', reason: 'no' });
    await carrier.close();
    expect(await countsOf(metrics, 'providerCalls')).toEqual({
      'operation=book,outcome=completed,provider=carrier': 1,
    });
  });

  it('begin at 0, each of them, so that an alert sees the first failure', async () => {
    const metrics = createMetrics(['process']);
    await measuredGateway(httpPaymentGateway('http://127.0.0.1:1'), metrics).close();
    await measuredCarrier(httpCarrier('http://127.0.0.1:1'), metrics).close();
    const calls = ['authorize', 'capture', 'lookup', 'refund', 'void'].map((name) => `${name}:payment`);
    const shown = Object.keys(await valuesOf(metrics, 'providerCalls')).map((labels) =>
      labels.replace(/operation=(\w+),outcome=\w+,provider=/, '$1:'),
    );
    expect([...new Set(shown)].toSorted()).toEqual(
      [...calls, 'book:carrier', 'cancel:carrier', 'lookup:carrier'].toSorted(),
    );
  });
});

describe('attempts to deliver', () => {
  const type = 'evenkeel.order.created.v1';
  const none: Settled = { late: [], missed: [], troubled: [], disabled: [] };
  const happened = new Date('2026-01-01T00:00:00.000Z');
  const body = JSON.stringify({ time: happened.toISOString(), data: { time: 'of no interest' } });
  const retry: Verdict = {
    next: 'retry',
    cause: 'http_500',
    strikes: 1,
    delayMs: 1,
    throttleMs: null,
    disables: false,
    blames: 'answer',
  };
  const attempt = (id: number, verdict: Verdict, result: Partial<AttemptResult> = {}): Settlement => ({
    delivery: claimed({ id, body }),
    verdict,
    result: {
      ...(verdict.next === 'delivered' ? delivered() : failed()),
      startedAt: new Date(happened.getTime() + 1_900),
      durationMs: 100,
      ...result,
    },
  });
  const queueOf = (...answers: readonly (Settled | Error)[]): DeliveryQueue => {
    const left = [...answers];
    return {
      claim: async () => [],
      settle: async () => {
        const answer = left.shift() ?? none;
        if (answer instanceof Error) throw answer;
        return answer;
      },
    };
  };

  it('are counted once they are written: what failed to be, or was missed, comes again', async () => {
    const metrics = createMetrics(['process']);
    const queue = measuredQueue(queueOf(new Error('away'), { ...none, missed: [2] }, none), metrics);
    const both = [attempt(1, { next: 'delivered' }), attempt(2, { next: 'delivered' })];
    await expect(queue.settle(both, 'r')).rejects.toThrow('away');
    await queue.settle(both, 'r');
    await queue.settle(both.slice(1), 'r');
    expect(await countsOf(metrics, 'deliveryAttempts')).toEqual({ [`outcome=delivered,type=${type}`]: 2 });
    expect(await valuesOf(metrics, 'deliverySeconds')).toEqual({ '': 2 });
  });

  it('that came too late are no delivery: another relay counts it', async () => {
    const metrics = createMetrics(['process']);
    await measuredQueue(queueOf({ ...none, late: [1] }), metrics).settle([attempt(1, { next: 'delivered' })], 'r');
    expect(await countsOf(metrics, 'deliveryAttempts')).toEqual({ [`outcome=late,type=${type}`]: 1 });
    expect(await valuesOf(metrics, 'deliverySeconds')).toEqual({ '': 0 });
    expect(await valuesOf(metrics, 'deliveryAttemptSeconds')).toEqual({ 'outcome=delivered': 1 });
  });

  it('are counted by what came of them', async () => {
    const metrics = createMetrics(['process']);
    await measuredQueue(queueOf(), metrics).settle(
      [attempt(1, { next: 'delivered' }), attempt(2, retry), attempt(3, { ...retry, next: 'dead' })],
      'r',
    );
    expect(await countsOf(metrics, 'deliveryAttempts')).toEqual({
      [`outcome=delivered,type=${type}`]: 1,
      [`outcome=failed,type=${type}`]: 1,
      [`outcome=dead,type=${type}`]: 1,
    });
    expect(await valuesOf(metrics, 'deliveryAttemptSeconds')).toEqual({ 'outcome=delivered': 1, 'outcome=failed': 2 });
  });

  it('take from the event to the answer, and no less than the attempt where clocks differ', async () => {
    const metrics = createMetrics(['process']);
    const early = { startedAt: new Date(happened.getTime() - 5_000) };
    await measuredQueue(queueOf(), metrics).settle(
      [attempt(1, { next: 'delivered' }), attempt(2, { next: 'delivered' }, early)],
      'r',
    );
    expect(await metrics.registry.metrics()).toContain('evenkeel_delivery_duration_seconds_sum 2.1');
  });

  it('are settled, whatever is in the event', async () => {
    const metrics = createMetrics(['process']);
    const odd = attempt(1, { next: 'delivered' });
    const settlements = ['', '{', '[]', 'null', '{"time": 5}'].map((text) => ({
      ...odd,
      delivery: claimed({ body: text }),
    }));
    await expect(measuredQueue(queueOf(), metrics).settle(settlements, 'r')).resolves.toEqual(none);
    expect(await countsOf(metrics, 'deliveryAttempts')).toEqual({ [`outcome=delivered,type=${type}`]: 5 });
  });
});

const address = { name: 'n', line1: 'l', city: 'c', postalCode: 'p', country: 'GB' };
