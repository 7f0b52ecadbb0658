import { createHmac } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { createApi } from '../../src/api/app.ts';
import type { ApiDeps } from '../../src/api/deps.ts';
import { listen } from '../../src/api/server.ts';
import type { AttentionView, OrderView } from '../../src/domain/order-ports.ts';
import type { Log, LogFields } from '../../src/telemetry/log.ts';
import { type AccessFakes, accessFakes } from './api-access-fakes.ts';
import { type Asked, deliveryFakes, orderId } from './api-delivery-fakes.ts';
import { resilienceFakes } from './api-resilience-fakes.ts';
import { sloFakes } from './api-slo-fakes.ts';

export { orderId };
export const carrierSecret = 'a secret between the two of us';

export const newOrder = {
  customerId: 'c-17850',
  currency: 'GBP',
  items: [{ sku: '85123A', quantity: 6 }],
  payment: { token: 'tok_visa' },
  shippingAddress: { name: 'Ada', line1: '1 High St', city: 'London', postalCode: 'N1 9GU', country: 'GB' },
};

/** An order with something in every place that an answer can have. */
export function orderView(changes: Partial<OrderView> = {}): OrderView {
  const attention: AttentionView = {
    id: 'att-1',
    step: 'book',
    fulfillmentId: `${orderId}-1`,
    reason: 'the carrier does not know the address',
    allowed: ['retry', 'retry_corrected', 'cancel'],
    since: '2026-01-02T03:04:07.000Z',
  };
  return {
    id: orderId,
    status: 'confirmed',
    attention,
    attentions: [attention],
    customerId: 'c-17850',
    currency: 'GBP',
    totalMinor: 1530,
    version: 7,
    reason: null,
    cancelRequestedAt: null,
    createdAt: '2026-01-02T03:04:05.000Z',
    confirmedAt: '2026-01-02T03:04:06.000Z',
    finishedAt: null,
    items: [{ sku: '85123A', description: 'Heart', quantity: 6, unitPriceMinor: 255, totalMinor: 1530 }],
    payment: { status: 'authorized', authorizedMinor: 1530, capturedMinor: 0, refundedMinor: 0 },
    fulfillments: [
      {
        id: `${orderId}-1`,
        location: 'main',
        status: 'booked',
        amountMinor: 1530,
        shipmentId: 'shp-1',
        trackingNumber: 'TRK1',
        items: [{ sku: '85123A', quantity: 6 }],
        bookedAt: '2026-01-02T03:04:07.000Z',
        dispatchedAt: null,
        deliveredAt: null,
      },
    ],
    timeline: [{ at: '2026-01-02T03:04:05.000Z', type: 'evenkeel.order.created.v1', detail: { totalMinor: 1530 } }],
    ...changes,
  };
}

export interface LogLine {
  readonly level: keyof Log;
  readonly fields: LogFields;
  readonly message: string;
}

export interface Fakes extends ApiDeps, AccessFakes {
  hasBroker: boolean;
  webhookNetworks: readonly string[];
  carrierSecret: string | undefined;
  draining?: AbortSignal;
  readiness: ApiDeps['readiness'];
  /** What the ports were asked, in order: `intake.accept` and its arguments. */
  readonly calls: (readonly [string, ...unknown[]])[];
  readonly lines: LogLine[];
}

/** Ports that say yes and write down what they were asked; a test replaces the methods that it is about. */
export function fakes(): Fakes {
  const calls: Fakes['calls'] = [];
  const lines: LogLine[] = [];
  const asked: Asked = (answer, ...call) => {
    calls.push(call);
    return Promise.resolve(answer);
  };
  const write = (level: keyof Log) => (fields: LogFields, message: string) => {
    lines.push({ level, fields, message });
  };
  const stock = { sku: '85123A', onHand: 5, reserved: 1, locations: [{ location: 'main', onHand: 5, reserved: 1 }] };
  const article = { sku: '85123A', description: 'Heart', priceMinor: 255, currency: 'GBP' };
  const {
    attentions: _attentions,
    items: _items,
    payment: _payment,
    fulfillments: _fulfillments,
    timeline: _timeline,
    ...summary
  } = orderView();
  return {
    calls,
    lines,
    ...sloFakes(),
    intake: {
      accept: (...args) => asked({ kind: 'created', order: orderView() }, 'intake.accept', ...args),
    },
    views: {
      find: (id) => asked(id === orderId ? orderView() : undefined, 'views.find', id),
      list: (filter) => asked({ data: [summary], nextCursor: 'bmV4dA' }, 'views.list', filter),
      waitForConfirmation: (id, timeoutMs) => asked(orderView(), 'views.waitForConfirmation', id, timeoutMs),
    },
    requests: {
      cancel: (...args) => asked(orderView(), 'requests.cancel', ...args),
      recordDecision: (...args) => asked({ decisionId: 'dec-1', step: 'book' }, 'requests.recordDecision', ...args),
      settleDecision: (...args) => asked(undefined, 'requests.settleDecision', ...args),
    },
    catalog: {
      put: (item) => asked(item, 'catalog.put', item),
      find: (sku) => asked(sku === '85123A' ? article : undefined, 'catalog.find', sku),
      isEmpty: () => asked(false, 'catalog.isEmpty'),
      putStock: (...args) => asked(stock, 'catalog.putStock', ...args),
      findStock: (sku) => asked(sku === '85123A' ? stock : undefined, 'catalog.findStock', sku),
    },
    inbox: { keep: (message) => asked('kept', 'inbox.keep', message) },
    workflows: {
      start: (order) => asked(undefined, 'workflows.start', order),
      cancel: (id) => asked(undefined, 'workflows.cancel', id),
      deliver: (message) => asked(undefined, 'workflows.deliver', message),
      decide: (...args) => asked(undefined, 'workflows.decide', ...args),
      restart: (...args) => asked(undefined, 'workflows.restart', ...args),
    },
    ...deliveryFakes(asked),
    ...accessFakes(),
    ...resilienceFakes(asked),
    webhookNetworks: [],
    hasBroker: true,
    readiness: [{ name: 'postgres', check: () => asked(undefined, 'readiness.postgres') }],
    carrierSecret,
    log: { info: write('info'), warn: write('warn'), error: write('error') },
  };
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; undefined if it is none. */
  readonly json: unknown;
}

export type Send = (
  method: string,
  path: string,
  options?: {
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: unknown;
    readonly raw?: string | Uint8Array<ArrayBuffer>;
    /** Who asks, as the fakes know them: default `admin`; null sends none. */
    readonly token?: string | null;
  },
) => Promise<Reply>;

/** Serves the API over these ports on a free port until the test is over. `body` is sent as JSON, `raw` as it is. */
export async function serve(deps: ApiDeps): Promise<Send & { readonly url: string }> {
  const server = await listen(createApi(deps), { host: '127.0.0.1', port: 0, drainMs: 1_000 });
  onTestFinished(() => server.close());
  const send: Send = async (method, path, { headers = {}, body, raw, token = 'admin' } = {}) => {
    const json = body === undefined ? {} : { 'content-type': 'application/json' };
    const sent = raw ?? (body === undefined ? undefined : JSON.stringify(body));
    const by = token === null ? {} : { authorization: `Bearer ${token}` };
    const init = { method, headers: { ...by, ...json, ...headers }, redirect: 'manual' } as const;
    const response = await fetch(`${server.url}${path}`, sent === undefined ? init : { ...init, body: sent });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: parsed(text) };
  };
  return Object.assign(send, { url: server.url });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What a problem detail looks like: pass to `expect(reply.json).toMatchObject`. */
export function problem(status: number, code: string, more: Readonly<Record<string, unknown>> = {}) {
  return { status, code, type: `urn:evenkeel:problem:${code.replaceAll('_', '-')}`, ...more };
}

/** What a carrier that shares `secret` with us sends along with `body`, signed now or `ageSeconds` ago. */
export function carrierHeaders(
  body: unknown,
  { secret = carrierSecret, id = 'msg-1', ageSeconds = 0, raw = JSON.stringify(body) } = {},
): Record<string, string> {
  const timestamp = String(Math.floor(Date.now() / 1000) - ageSeconds);
  const mac = createHmac('sha256', Buffer.from(secret, 'utf8')).update(`${id}.${timestamp}.${raw}`).digest('base64');
  return {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${mac}`,
  };
}
