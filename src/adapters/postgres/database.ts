import { Kysely, PostgresDialect, type RawBuilder, sql } from 'kysely';
import { Client, type ClientBase, Pool, TypeOverrides, types } from 'pg';
import type { EventType } from '../../domain/events.ts';
import type { OrderStatus } from '../../domain/order.ts';
import { asFailure } from './failures.ts';
import type { Tables } from './schema.ts';
import { createSettledOrders, type SettledOrders } from './settled-orders.ts';
import { certificateEnd, withTls } from './tls.ts';

/** What a query needs: the pool itself or one transaction. */
export type Queries = Kysely<Tables>;

export interface Database {
  /** Runs one query, or several that need not see the same moment. */
  read<T>(work: (queries: Queries) => Promise<T>): Promise<T>;
  /** READ COMMITTED; commits if `work` resolves, rolls back if it rejects. */
  transaction<T>(work: (trx: Queries) => Promise<T>): Promise<T>;
  /** Resolves if the database answers; for readiness. */
  ping(): Promise<void>;
  /** Tells when orders are confirmed or at their end, in any process. */
  readonly settledOrders: SettledOrders;
  /** The trace context of whoever is asking now, for the events that a change writes. */
  traceparent(): string | undefined;
  /** Who is told what was committed. */
  readonly observer: StoreObserver;
  /** This process's connections, and how many wait for one. */
  pool(): { readonly total: number; readonly idle: number; readonly waiting: number };
  /** When the server's certificate ends, as of the newest connection; undefined without TLS or a connection. */
  certificateExpiresAt(): Date | undefined;
  /** Lets running queries finish, then closes all connections. */
  destroy(): Promise<void>;
}

/** Told of what happens in the store, for metrics and traces. Must not throw. */
export interface StoreObserver {
  /** After each statement, within the asynchronous context of whoever asked for it. */
  statement?(statement: { readonly sql: string; readonly durationMs: number; readonly failed: boolean }): void;
  /** After the commit of each transaction that changed an order or wrote its first event. */
  changed?(change: CommittedChange): void;
}

export interface CommittedChange {
  readonly orderId: string;
  /** Null for a new order. */
  readonly from: OrderStatus | null;
  readonly to: OrderStatus;
  readonly createdAt: Date;
  readonly at: Date;
  readonly events: readonly EventType[];
}

/** A statement that runs for longer is stuck; a lock that is held for longer is another's stuck statement. */
const statementTimeoutMs = 10_000;
const lockTimeoutMs = 5_000;
const connectTimeoutMs = 5_000;
/** A process that holds locks and says nothing for longer is frozen: the others must get on. */
const frozenTimeoutMs = 30_000;

/** Ours, among the transactions that PostgreSQL shows: whoever waits for those that may write knows them by it. */
export const APPLICATION_NAME = 'evenkeel';

export interface ConnectOptions {
  /** Connections at most. */
  readonly pool: number;
  readonly traceparent?: () => string | undefined;
  readonly observer?: StoreObserver;
}

/**
 * Opens a pool of at most `pool` connections (none before the first query, one more for notifications). All that is
 * thrown through it for reasons that may pass is `DomainFailure('store_unavailable')`. Throws `DatabaseTlsError` itself.
 */
export function connect(databaseUrl: string, options: ConnectOptions): Database {
  const connection = {
    connectionString: withTls(databaseUrl),
    application_name: APPLICATION_NAME,
    keepAlive: true,
    connectionTimeoutMillis: connectTimeoutMs,
  };
  const pool = new Pool({
    ...connection,
    max: options.pool,
    statement_timeout: statementTimeoutMs,
    lock_timeout: lockTimeoutMs,
    idle_in_transaction_session_timeout: frozenTimeoutMs,
    types: exactIntegers(),
    verify: setName,
  });
  outliveBrokenConnections(pool);
  let certificateExpiresAt: Date | undefined;
  pool.on('connect', (client) => {
    certificateExpiresAt = certificateEnd(client);
  });
  const { observer = {} } = options;
  const queries = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool }),
    log: ({ level, query, queryDurationMillis: durationMs }) =>
      observer.statement?.({ sql: query.sql, durationMs, failed: level === 'error' }),
  });
  const settledOrders = createSettledOrders(() => new Client(connection), queries);

  return {
    read: (work) => work(queries).catch(rethrow),
    transaction: (work) => queries.transaction().execute(work).catch(rethrow),
    ping: async () => {
      await sql`select 1`.execute(queries).catch(rethrow);
    },
    settledOrders,
    traceparent: options.traceparent ?? (() => undefined),
    observer,
    certificateExpiresAt: () => certificateExpiresAt,
    pool: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    destroy: async () => {
      await settledOrders.close();
      await queries.destroy();
    },
  };
}

/**
 * A broken connection leaves the pool by itself, and whoever uses it sees its query fail. But one that breaks while no
 * query runs, idle or within a transaction, emits an error that would end the process if nobody listened.
 */
export function outliveBrokenConnections(pool: Pool): void {
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
}

/**
 * The moment `ms` milliseconds before the statement began, to compare stored times with. Rounded like these, so that
 * what was stored before is never later than `ago(0)`; constant within the statement, so that an index can be used.
 */
export function ago(ms: number): RawBuilder<Date> {
  return sql<Date>`(statement_timestamp()::timestamptz(3) - ${ms} * interval '1 millisecond')`;
}

/** A URL with `application_name`, and a pooler in between, would have it their way. */
function setName(client: ClientBase, done: (error?: Error) => void): void {
  client.query(`set application_name = '${APPLICATION_NAME}'`, (error: Error | null) => done(error ?? undefined));
}

function rethrow(error: unknown): never {
  throw asFailure(error);
}

/** int8 as a number: every amount and quantity is checked to be a safe integer when it comes in. */
function exactIntegers(): TypeOverrides {
  const overrides = new TypeOverrides();
  overrides.setTypeParser(types.builtins.INT8, (text: string) => {
    const value = Number(text);
    if (!Number.isSafeInteger(value)) throw new RangeError(`the database returned ${text}, which is no safe integer`);
    return value;
  });
  return overrides;
}
