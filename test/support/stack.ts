/** The whole of Evenkeel on real servers, its API and its worker as processes that a test may kill. */
import { randomBytes, randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { Pool, type QueryResultRow } from 'pg';
import { afterAll, afterEach, beforeAll, inject } from 'vitest';
import type { Readiness } from '../../src/api/readiness.ts';
import { ensureSearchAttributes } from '../../src/adapters/temporal/search-attributes.ts';
import { ensureUpkeepSchedule } from '../../src/adapters/temporal/upkeep-schedule.ts';
import { UPKEEP_SCHEDULE_EVERY_MS } from '../../src/app.ts';
import { isTerminal } from '../../src/domain/order.ts';
import type { NewOrder, OrderView } from '../../src/domain/order-ports.ts';
import { freePort } from '../../src/embedded/ports.ts';
import { adminKey } from './admin-key.ts';
import { type Env, Program } from './program.ts';
import { testDatabase } from './postgres.ts';
import { type TestSandbox, callbackSecret, startSandbox } from './sandbox.ts';
import { pooled, waitFor } from './wait.ts';

export interface StackOptions {
  /** Use this PostgreSQL database instead of one of the run's; its schema is there. */
  readonly databaseUrl?: string | undefined;
  /** Use this Temporal and its namespace `default` instead of a namespace of the run's. */
  readonly temporalAddress?: string | undefined;
  /** The carrier's delays; 50 ms each if absent. */
  readonly dispatchAfterMs?: number;
  readonly deliverAfterMs?: number;
  /** More settings of API and worker. */
  readonly env?: Env;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: unknown;
}

export class Stack {
  readonly url: string;
  readonly env: Env;
  readonly databaseUrl: string;
  /** An admin's API key, which requests and programs send unless they name another. */
  readonly key: string;
  readonly sandbox: TestSandbox;
  readonly api: Program;
  readonly worker: Program;
  readonly temporal: { readonly address: string; readonly namespace: string };
  readonly #pool: Pool;
  readonly #programs: Program[] = [];
  readonly #closers: (() => Promise<unknown>)[];
  #client: Client | undefined;

  constructor(parts: {
    env: Env;
    port: number;
    databaseUrl: string;
    key: string;
    sandbox: TestSandbox;
    temporal: { address: string; namespace: string };
    closers: (() => Promise<unknown>)[];
  }) {
    this.url = `http://127.0.0.1:${parts.port}`;
    this.env = parts.env;
    this.databaseUrl = parts.databaseUrl;
    this.key = parts.key;
    this.sandbox = parts.sandbox;
    this.temporal = parts.temporal;
    this.#closers = parts.closers;
    this.#pool = new Pool({ connectionString: parts.databaseUrl, max: 2 });
    // A connection that breaks because a test stops PostgreSQL leaves the pool by itself.
    this.#pool.on('error', () => undefined);
    this.api = this.program(['api']);
    this.worker = this.program(['worker']);
  }

  /** One more program with this stack's settings and `env`; it ends with the stack. */
  program(words: readonly string[], env: Env = {}): Program {
    const program = new Program(words, { ...this.env, ...env });
    this.#programs.push(program);
    return program;
  }

  async startApi(): Promise<void> {
    await this.api.start('evenkeel api listens');
  }

  async startWorker(): Promise<void> {
    await this.worker.start('evenkeel worker runs');
  }

  /** A client of the stack's Temporal namespace. */
  async client(): Promise<Client> {
    if (this.#client) return this.#client;
    const { address, namespace } = this.temporal;
    const connection = await Connection.connect({ address });
    this.#closers.push(() => connection.close());
    this.#client = new Client({ connection, namespace });
    return this.#client;
  }

  async sql<Row extends QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.#pool.query<Row>(text, [...values])).rows;
  }

  /** One request, one answer; rejects where there is none. */
  async request(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Reply> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(40_000),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined };
  }

  /** What the API tells operations of its readiness, beside its metrics. */
  async readiness(): Promise<Readiness> {
    const served = this.api.log.findLast(({ msg }) => msg === 'metrics are served')?.['url'];
    const answer = await fetch(String(served).replace('/metrics', '/readyz'), { signal: AbortSignal.timeout(10_000) });
    return (await answer.json()) as Readiness;
  }

  /** Puts an article into the catalogue and the stock. */
  async article(sku: string, { priceMinor = 1_000, onHand = 10_000 } = {}): Promise<void> {
    for (const [path, body] of [
      [`/v1/catalog/${sku}`, { description: sku, priceMinor, currency: 'GBP' }],
      [`/v1/stock/${sku}`, { onHand }],
    ] as const) {
      const { status, text } = await this.request('PUT', path, body);
      if (status !== 200) throw new Error(`PUT ${path}: ${status} ${text}`);
    }
  }

  /**
   * Submits `count` orders, eight at a time, as a good client does: the same key again while there is no answer, or one
   * that says to come back. Resolves with their ids.
   */
  async submit(count: number, overrides: Partial<NewOrder> = {}): Promise<string[]> {
    return pooled(Array.from({ length: count }, newKey), 8, (key) => this.submitOne(key, overrides));
  }

  async submitOne(key: string, overrides: Partial<NewOrder> = {}): Promise<string> {
    return waitFor(`order ${key} is accepted`, async () => {
      const reply = await this.request('POST', '/v1/orders', newOrder(overrides), { 'idempotency-key': key }).catch(
        () => undefined,
      );
      if (reply?.status === 202) return (reply.json as OrderView).id;
      if (reply === undefined || reply.status === 503 || reply.status === 409) return false;
      throw new Error(`POST /v1/orders: ${reply.status} ${reply.text}`);
    });
  }

  async order(id: string): Promise<OrderView> {
    const { status, json, text } = await this.request('GET', `/v1/orders/${id}`);
    if (status !== 200) throw new Error(`GET /v1/orders/${id}: ${status} ${text}`);
    return json as OrderView;
  }

  /** Resolves with the orders once all of them are at their end. */
  async ended(ids: readonly string[], deadlineMs = 90_000): Promise<OrderView[]> {
    const open = () =>
      this.sql<{ id: string; status: OrderView['status']; since: Date }>(
        `select id, status, updated_at as since from orders where id = any($1) and finished_at is null`,
        [ids],
      );
    await waitFor(`${ids.length} orders are at their end`, async () => (await open()).length === 0, deadlineMs, open);
    const orders = await pooled(ids, 8, (id) => this.order(id));
    for (const { id, status } of orders) if (!isTerminal(status)) throw new Error(`order ${id} ended as ${status}`);
    return orders;
  }

  /** Resolves with the order once it is as `is` wants it. */
  async when(id: string, what: string, is: (order: OrderView) => boolean, deadlineMs?: number): Promise<OrderView> {
    const look = async (): Promise<OrderView | undefined> => {
      const order = await this.order(id);
      return is(order) ? order : undefined;
    };
    return waitFor(`order ${id} is ${what}`, look, deadlineMs, () => this.order(id));
  }

  /** Ends all that was started, whatever state it is in. */
  async close(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.end('SIGKILL')));
    await this.#pool.end();
    for (const close of this.#closers.toReversed()) await close();
  }

  /** What the programs said that somebody who looks into a failure wants to read first. */
  troubles(): string[] {
    return this.#programs.flatMap((program) => [
      ...program.stderr.map((line) => `${program.words.join(' ')}: ${line}`),
      ...program.stdout
        .filter((line) => /"level":"(warn|error)"/.test(line))
        .slice(-15)
        .map((line) => `${program.words.join(' ')}: ${line.slice(0, 600)}`),
    ]);
  }
}

export const newKey = (): string => `test-${randomUUID()}`;

export function newOrder(overrides: Partial<NewOrder> = {}): NewOrder {
  return {
    customerId: 'ada',
    currency: 'GBP',
    items: [{ sku: 'LANTERN', quantity: 2 }],
    payment: { token: 'tok_visa' },
    shippingAddress: {
      name: 'Ada Lovelace',
      line1: '12 St James Square',
      city: 'London',
      postalCode: 'SW1Y 4JH',
      country: 'GB',
    },
    ...overrides,
  };
}

/** Starts a stack: its own database, Temporal namespace and sandbox, one API, one worker, and 10,000 lanterns. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const closers: (() => Promise<unknown>)[] = [];
  let stack: Stack | undefined;
  try {
    const databaseUrl = options.databaseUrl ?? (await ownDatabase(closers));
    const temporal =
      options.temporalAddress === undefined
        ? await ownNamespace(inject('temporalAddress'))
        : { address: options.temporalAddress, namespace: 'default' };
    await prepare(temporal);
    const key = await adminKey(databaseUrl);
    const port = await freePort();
    const sandbox = await startSandbox({
      callbackUrl: `http://127.0.0.1:${port}/v1/callbacks/carrier`,
      dispatchAfterMs: options.dispatchAfterMs ?? 50,
      deliverAfterMs: options.deliverAfterMs ?? 50,
    });
    closers.push(() => sandbox.stop());
    const env = {
      DATABASE_URL: databaseUrl,
      TEMPORAL_ADDRESS: temporal.address,
      TEMPORAL_NAMESPACE: temporal.namespace,
      PAYMENT_GATEWAY_URL: sandbox.url,
      CARRIER_URL: sandbox.url,
      CARRIER_CALLBACK_SECRET: callbackSecret,
      EVENKEEL_API_KEY: key,
      // On a busy machine orders wait longer for their turn than a shop would let them.
      EVENKEEL_SHED_AGE_MS: '60000',
      EVENKEEL_HTTP_PORT: String(port),
      EVENKEEL_METRICS_PORT: '0',
      EVENKEEL_SWEEP_INTERVAL_MS: '300',
      EVENKEEL_WEBHOOK_NETWORKS: '127.0.0.0/8,::1/128',
      ...options.env,
    };
    stack = new Stack({ env, port, databaseUrl, key, sandbox, temporal, closers });
    await Promise.all([stack.startApi(), stack.startWorker()]);
    await stack.article('LANTERN');
    return stack;
  } catch (error) {
    if (stack) await stack.close();
    else for (const close of closers.toReversed()) await close();
    throw error;
  }
}

/** One stack for all tests of a file; when one of them fails, what the programs complained of is printed. */
export function useStack(options: () => StackOptions | Promise<StackOptions> = () => ({})): () => Stack {
  let stack: Stack | undefined;
  beforeAll(async () => {
    stack = await startStack(await options());
  });
  afterEach(({ task }) => {
    if (task.result?.state === 'fail') console.log(stack?.troubles().join('\n'));
  });
  afterAll(async () => {
    await stack?.close();
  });
  return () => {
    if (stack === undefined) throw new Error('the stack is not started: call useStack at the top of the file');
    return stack;
  };
}

async function ownDatabase(closers: (() => Promise<unknown>)[]): Promise<string> {
  const { url, drop } = await testDatabase();
  closers.push(drop);
  return url;
}

async function ownNamespace(address: string): Promise<{ address: string; namespace: string }> {
  const namespace = `test-${randomBytes(6).toString('hex')}`;
  const connection = await Connection.connect({ address });
  try {
    await connection.workflowService.registerNamespace({
      namespace,
      workflowExecutionRetentionPeriod: { seconds: 24 * 3600 } as never,
    });
  } finally {
    await connection.close();
  }
  return { address, namespace };
}

async function prepare({ address, namespace }: { address: string; namespace: string }): Promise<void> {
  const connection = await Connection.connect({ address });
  try {
    const client = new Client({ connection, namespace });
    await ensureSearchAttributes(client, namespace);
    await ensureUpkeepSchedule(client, UPKEEP_SCHEDULE_EVERY_MS);
  } finally {
    await connection.close();
  }
}
