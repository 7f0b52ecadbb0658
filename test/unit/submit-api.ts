import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { PassThrough } from 'node:stream';
import type { CommandIo, Run } from '../../src/commands/command.ts';

interface Item {
  readonly description: string;
  readonly priceMinor: number;
  readonly currency: string;
}

export interface SentOrder {
  readonly id: string;
  readonly key: string;
  readonly body: Record<string, unknown> & { readonly items: readonly { sku: string; quantity: number }[] };
}

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly key: string | undefined;
  /** How often this method and path, with this key, was asked for before. */
  readonly before: number;
}

/** `lose`: the request has its effect, and the connection breaks before the answer. */
export type Trouble =
  'break' | 'lose' | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: unknown };

/** A server that keeps the API's contract as far as the commands use it, and fails on demand. */
export async function startFakeApi() {
  const items = new Map<string, Item>();
  const stock = new Map<string, { onHand: number; reserved: number }>();
  const orders = new Map<string, SentOrder>();
  const asked = new Map<string, number>();
  const log: string[] = [];
  const authorizations: (string | undefined)[] = [];
  const api = {
    items,
    stock,
    orders,
    log,
    /** Of each request, what its header says. */
    authorizations,
    url: '',
    inFlight: 0,
    mostInFlight: 0,
    trouble: (_asked: Asked): Trouble | undefined | Promise<Trouble | undefined> => undefined,
    /** What `GET /v1/orders/{id}` adds to the order. */
    state: (_order: SentOrder): Record<string, unknown> => ({}),
    list: (_query: URLSearchParams): unknown => ({ data: [], nextCursor: null }),
    bodies: () => [...orders.values()].map((order) => order.body),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const text = (await request.toArray()).map(String).join('');
    const url = new URL(request.url ?? '/', 'http://fake');
    const [, resource = '', word = ''] = /^\/v1\/([a-z]+)\/?(.*)$/.exec(url.pathname) ?? [];
    const name = decodeURIComponent(word);
    const method = request.method ?? '';
    const key = request.headers['idempotency-key']?.toString();
    const mark = `${method} ${url.pathname} ${key ?? ''}`.trim();
    const before = asked.get(mark) ?? 0;
    asked.set(mark, before + 1);
    log.push(mark);
    authorizations.push(request.headers.authorization);
    const answer = (status: number, body: unknown, headers: Record<string, string> = {}): void => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(JSON.stringify(body));
    };
    const trouble = await api.trouble({ method, path: url.pathname, key, before });
    if (trouble === 'break') return void request.socket.destroy();
    if (typeof trouble === 'object') return answer(trouble.status, trouble.body ?? {}, trouble.headers);
    const reply: typeof answer = trouble === 'lose' ? () => void request.socket.destroy() : answer;

    if (url.pathname === '/livez') return reply(200, { status: 'ok' });
    if (resource === 'catalog' && method === 'PUT') {
      items.set(name, JSON.parse(text) as Item);
      return reply(200, { sku: name, ...items.get(name) });
    }
    if (resource === 'catalog') {
      const item = items.get(name);
      return item
        ? reply(200, { sku: name, ...item })
        : reply(404, problem(404, 'not_found', 'there is no such article'));
    }
    if (resource === 'stock' && method === 'PUT') {
      const { onHand } = JSON.parse(text) as { onHand: number };
      const reserved = stock.get(name)?.reserved ?? 0;
      if (onHand < reserved) return reply(409, problem(409, 'conflict', 'below what is reserved'));
      stock.set(name, { onHand, reserved });
    }
    if (resource === 'stock') {
      if (!items.has(name)) return reply(404, problem(404, 'not_found', 'there is no such article'));
      const level = stock.get(name);
      const locations = level ? [{ location: 'main', ...level }] : [];
      return reply(200, { sku: name, onHand: 0, reserved: 0, ...level, locations });
    }
    if (resource === 'orders' && method === 'POST') return reply(...post(key, JSON.parse(text) as SentOrder['body']));
    if (resource === 'orders' && name === '') return reply(200, api.list(url.searchParams));
    const order = [...orders.values()].find(({ id }) => id === name);
    if (!order) return reply(404, problem(404, 'not_found', `there is no order ${name}`));
    return reply(200, { ...shownOrder(order.id), ...api.state(order) });
  }

  function post(key: string | undefined, body: SentOrder['body']): [number, unknown, Record<string, string>?] {
    if (key === undefined) return [400, problem(400, 'idempotency_key_missing', 'send a key')];
    const earlier = orders.get(key);
    if (earlier) {
      if (JSON.stringify(earlier.body) !== JSON.stringify(body)) {
        return [422, problem(422, 'idempotency_key_reused', `the key '${key}' was used for another request`)];
      }
      return [202, shownOrder(earlier.id), { 'idempotent-replayed': 'true' }];
    }
    const index = body.items.findIndex(({ sku }) => !items.has(sku));
    if (index >= 0) {
      return [
        422,
        problem(422, 'invalid_input', `/items/${index}/sku: "${body.items[index]?.sku}" is not in the catalogue`),
      ];
    }
    const id = `00000000-0000-4000-8000-${String(orders.size + 1).padStart(12, '0')}`;
    orders.set(key, { id, key, body });
    return [202, shownOrder(id)];
  }

  const server = createServer((request, response) => {
    api.inFlight += 1;
    api.mostInFlight = Math.max(api.mostInFlight, api.inFlight);
    response.on('close', () => (api.inFlight -= 1));
    void handle(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  api.url = `http://127.0.0.1:${address.port}`;
  return api;
}
export type FakeApi = Awaited<ReturnType<typeof startFakeApi>>;

function problem(status: number, code: string, detail: string) {
  return {
    type: `urn:evenkeel:problem:${code.replaceAll('_', '-')}`,
    title: code,
    status,
    detail,
    code,
    traceId: 'none',
  };
}

/** An order as the API shows it, freshly received. */
export function shownOrder(id: string) {
  return {
    id,
    status: 'received',
    attention: null,
    attentions: [],
    customerId: 'c-1',
    currency: 'GBP',
    totalMinor: 1250,
    version: 1,
    reason: null,
    cancelRequestedAt: null,
    createdAt: '2026-03-01T10:00:00.000Z',
    confirmedAt: null,
    finishedAt: null,
    items: [{ sku: 'MUG', description: 'Mug', quantity: 1, unitPriceMinor: 1250, totalMinor: 1250 }],
    payment: { status: 'none', authorizedMinor: 0, capturedMinor: 0, refundedMinor: 0 },
    fulfillments: [],
    timeline: [],
  };
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command as the terminal would, with its outputs caught. */
export async function runCommand(
  run: Run,
  args: readonly string[],
  { signal = new AbortController().signal, isTTY = false, env = {} }: Partial<CommandIo> & { isTTY?: boolean } = {},
): Promise<Ran> {
  const stdout = new PassThrough();
  const stderr = Object.assign(new PassThrough(), { isTTY, columns: 100 });
  const texts = [stdout.toArray(), stderr.toArray()] as const;
  try {
    const code = await run(args, { stdout, stderr, env, signal });
    stdout.end();
    stderr.end();
    const [out, err] = await Promise.all(texts);
    return { code, stdout: out.map(String).join(''), stderr: err.map(String).join('') };
  } finally {
    stdout.end();
    stderr.end();
  }
}

/** Resolves once `condition` holds. Throws after five seconds. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within five seconds: ${condition.toString()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
