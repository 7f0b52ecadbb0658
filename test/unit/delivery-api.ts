import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Asked {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly key: string | undefined;
  readonly body: unknown;
}

/** `lose`: it is done, and the connection breaks before the answer. */
type Reply = 'lose' | { readonly status: number; readonly body?: unknown };

/** An API that answers what a test says, by `METHOD /path` without the query, and remembers what it was asked. */
export async function startDeliveryApi() {
  const asked: Asked[] = [];
  const replies = new Map<string, (asked: Asked) => Reply>();
  const api = {
    asked,
    url: '',
    on(route: string, reply: (asked: Asked) => Reply): void {
      replies.set(route, reply);
    },
    /** The same answer every time. */
    answers(route: string, body: unknown, status = 200): void {
      replies.set(route, () => ({ status, body }));
    },
    /** What was asked of a route so far. */
    of: (route: string): readonly Asked[] =>
      asked.filter(({ method, path }) => `${method} ${path.replace(/\?.*/, '')}` === route),
    async close(): Promise<void> {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const text = (await request.toArray()).map(String).join('');
    const { method = '', url: path = '' } = request;
    const one: Asked = {
      method,
      path,
      key: request.headers['idempotency-key']?.toString(),
      body: text === '' ? undefined : (JSON.parse(text) as unknown),
    };
    asked.push(one);
    const reply = replies.get(`${method} ${path.replace(/\?.*/, '')}`)?.(one) ?? refused(404, 'not_found', 'no route');
    if (reply === 'lose') return void request.socket.destroy();
    response.writeHead(reply.status, { 'content-type': 'application/json' });
    response.end(reply.body === undefined ? undefined : JSON.stringify(reply.body));
  }

  const server = createServer((request, response) => void handle(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  api.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return api;
}
export type DeliveryApi = Awaited<ReturnType<typeof startDeliveryApi>>;

/** A problem as the API words it. */
export function refused(status: number, code: string, detail: string) {
  return { status, body: { type: `urn:evenkeel:problem:${code}`, title: code, status, detail, code, traceId: 'none' } };
}

export const idOf = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;

/** A consumer as lists show it. */
export function shownConsumer(n: number, name: string) {
  return {
    id: idOf(n),
    name,
    url: 'https://consumer.example/webhooks',
    types: ['evenkeel.order.*'],
    filter: null,
    maxInFlight: 8,
    enabled: true,
    state: 'enabled',
    stateReason: null as string | null,
    stateSince: '2026-03-01T10:00:00.000Z',
    version: 1,
    createdAt: '2026-03-01T10:00:00.000Z',
    formerSecretValidUntil: null,
  };
}

/** The same with its health, in which all is well. */
export function shownDetails(n: number, name: string, health: Record<string, unknown> = {}) {
  return {
    ...shownConsumer(n, name),
    health: {
      mode: 'normal',
      trouble: null,
      throttledUntil: null,
      backlog: 0,
      lagSeconds: 0,
      deadLetters: 0,
      lastHour: { attempts: 0, successes: 0, successRate: null },
      lastSuccessAt: null,
      lastFailures: [],
      ...health,
    },
  };
}

/** A dead letter as lists show it. */
export function shownLetter(id: number) {
  return {
    id: String(id),
    consumerId: idOf(1),
    consumerName: 'warehouse',
    eventId: idOf(500 + id),
    type: 'evenkeel.order.shipment_dispatched.v1',
    orderId: idOf(900 + id),
    sequence: 5,
    cause: 'http_422',
    attempts: 10,
    eventAt: '2026-03-01T10:00:00.000Z',
    deadSince: '2026-03-01T12:00:00.000Z',
    lastStatus: 422,
    lastError: 'answered 422',
  };
}

export function shownLetterDetails(id: number, more: Record<string, unknown> = {}) {
  const attempt = {
    startedAt: '2026-03-01T12:00:00.000Z',
    durationMs: 31,
    outcome: 'failed',
    cause: 'http_422',
    status: 422,
    answer: 'no such\u001b[31m parcel',
    error: 'answered 422',
    relay: 'w-1',
    late: false,
  };
  return {
    ...shownLetter(id),
    status: 'dead',
    envelope: { type: 'evenkeel.order.shipment_dispatched.v1', data: { fulfillmentId: 'f-1' } },
    log: [attempt],
    actions: [] as unknown[],
    ...more,
  };
}

export function shownRedrive(more: Record<string, unknown> = {}) {
  return {
    id: idOf(77),
    state: 'canary',
    filter: { cause: 'http_422' },
    ratePerSecond: 5,
    total: 10,
    sent: 0,
    delivered: 0,
    deadAgain: 0,
    actor: 'Ada',
    reason: null,
    createdAt: '2026-03-01T12:00:00.000Z',
    finishedAt: null as string | null,
    ...more,
  };
}
