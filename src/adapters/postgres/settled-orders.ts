import { sql, type Kysely } from 'kysely';
import type { Client } from 'pg';
import type { Tables } from './schema.ts';

/** NOTIFY's channel; the payload is the order's id. `change.ts` sends to it when an order is confirmed or ends. */
export const settledChannel = 'evenkeel_order_settled';

/** One LISTEN connection per process, however many wait. */
export interface SettledOrders {
  /**
   * Resolves when `orderId` is (or already was) confirmed or at its end, when `timeoutMs` is over, or when `signal`
   * fires, whichever is first. Never rejects: a broken connection only makes it slower.
   */
  wait(orderId: string, timeoutMs: number, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** One query for all that wait: for what is missed while notifications are away. */
const pollMs = 1_000;

export function createSettledOrders(newClient: () => Client, queries: Kysely<Tables>): SettledOrders {
  const waiters = new Map<string, Set<() => void>>();
  let listener: Promise<Client | undefined> | undefined;
  let current: Client | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const wake = (orderId: string): void => {
    for (const resolve of waiters.get(orderId) ?? []) resolve();
  };

  const listen = async (): Promise<Client | undefined> => {
    const client = newClient();
    const lost = (): void => {
      if (current === client) listener = undefined;
    };
    current = client;
    client.on('error', lost).on('end', lost);
    client.on('notification', ({ payload }) => wake(payload ?? ''));
    try {
      await client.connect();
      await client.query(`listen ${settledChannel}`);
      return client;
    } catch {
      lost();
      await client.end().catch(() => undefined);
      return undefined;
    }
  };

  /** Looks after LISTEN stands, so that nothing falls between the two. */
  const look = async (orderIds: readonly string[]): Promise<void> => {
    if (closed || orderIds.length === 0) return;
    listener ??= listen();
    await listener;
    const { rows } = await sql<{ id: string }>`
      select id from orders
      where id = any(${orderIds}) and (confirmed_at is not null or finished_at is not null)`.execute(queries);
    for (const { id } of rows) wake(id);
  };
  /** A failed look is a database that is away: the next look, or the waiter's own time-out, sees to it. */
  const lookQuietly = (orderIds: readonly string[]): Promise<void> => look(orderIds).catch(() => undefined);

  const lookAgain = async (): Promise<void> => {
    await lookQuietly([...waiters.keys()]);
    timer = undefined;
    if (waiters.size > 0 && !closed) keepLooking();
  };
  const keepLooking = (): void => {
    timer = setTimeout(() => {
      void lookAgain();
    }, pollMs);
  };

  return {
    wait: async (orderId, timeoutMs, signal) => {
      const gate = Promise.withResolvers<void>();
      const open = (): void => gate.resolve();
      const timeout = setTimeout(open, timeoutMs);
      signal.addEventListener('abort', open);
      const mine = waiters.get(orderId) ?? new Set();
      waiters.set(orderId, mine.add(open));
      void lookQuietly([orderId]);
      if (timer === undefined) keepLooking();
      try {
        if (!signal.aborted && !closed) await gate.promise;
      } finally {
        clearTimeout(timeout);
        signal.removeEventListener('abort', open);
        mine.delete(open);
        if (mine.size === 0) waiters.delete(orderId);
      }
    },
    close: async () => {
      closed = true;
      clearTimeout(timer);
      for (const orderId of waiters.keys()) wake(orderId);
      const client = await listener;
      await client?.end().catch(() => undefined);
    },
  };
}
