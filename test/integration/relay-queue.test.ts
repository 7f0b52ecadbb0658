import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runRelay } from '../../src/delivery/relay.ts';
import type { DeliveryQueue, EventSender } from '../../src/domain/delivery-ports.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import { delivered, failed } from '../support/memory-queue.ts';
import { newDeliveryQueue } from '../support/settlements.ts';
import { waitFor } from '../support/wait.ts';

const ORDERS = 200;
const EVENTS_EACH = 5;
const settings = {
  policy: { maxStrikes: 3, backoffBaseMs: 20, backoffCapMs: 20, longestRetryAfterMs: 1_000 },
  concurrency: 32,
  timeoutMs: 5_000,
};
const never = <T>() => new Promise<T>(() => undefined);
const workflows = { startTrouble: never, tellTrouble: never, startRedrive: never, tellRedrive: never };
const log = createLogger('silent');

let q: Awaited<ReturnType<typeof newDeliveryQueue>>;
beforeAll(async () => {
  q = await newDeliveryQueue();
});
afterAll(() => q.stop());

/** `EVENTS_EACH` events of each of `ORDERS` orders, all due for all `consumerIds`. */
async function fill(consumerIds: readonly string[]): Promise<void> {
  await q.query(sql`
    insert into orders (id, caller, idempotency_key, body_hash, customer_id, currency, total_minor, payment_token,
      shipping_address, created_at, updated_at)
    select 'o' || n, 'default', 'o' || n, 'hash', 'c1', 'EUR', 100, 'tok', '{}', now(), now()
    from generate_series(1, ${ORDERS}) n`);
  await q.query(sql`
    insert into events (id, order_id, sequence, type, at, body)
    select 'o' || n || ':' || s, 'o' || n, s, 'evenkeel.order.created.v1', now(), '{}'
    from generate_series(1, ${ORDERS}) n, generate_series(1, ${EVENTS_EACH}) s`);
  await q.query(sql`
    insert into deliveries (event_id, consumer_id, order_id, sequence, created_at, next_attempt_at)
    select e.id, c, e.order_id, e.sequence, now(), now() from events e, unnest(${consumerIds}::text[]) c`);
}

/** A relay at the real queue. Killed, it neither sends nor writes nor takes any more, and what it holds stays its own. */
function relay(queue: DeliveryQueue, sent: string[]) {
  const kill = new AbortController();
  const stop = new AbortController();
  const held = new Set<string>();
  let busy = 0;
  const alive = async <T>(work: () => Promise<T>): Promise<T> => {
    if (kill.signal.aborted) return never<T>();
    busy += 1;
    const done = await work().finally(() => (busy -= 1));
    return kill.signal.aborted ? never<T>() : done;
  };
  const mine: DeliveryQueue = {
    claim: (limits) =>
      alive(async () => {
        const claimed = await queue.claim(limits);
        for (const { token } of claimed) held.add(token);
        return claimed;
      }),
    settle: (settlements, name) =>
      alive(async () => {
        const settled = await queue.settle(settlements, name);
        for (const { delivery } of settlements) held.delete(delivery.token);
        return settled;
      }),
  };
  const sender: EventSender = {
    send: ({ eventId }, { consumerId }) =>
      alive(async () => {
        const key = `${consumerId} ${eventId}`;
        const isFirst = !sent.includes(key);
        sent.push(key);
        await new Promise(setImmediate);
        // One order whose every event fails at first: it is its own affair.
        return isFirst && eventId.startsWith('o7:') ? failed() : delivered();
      }),
    close: async () => undefined,
  };
  const over = runRelay({ queue: mine, sender, workflows, log }, settings, stop.signal);
  return { kill, stop, held, over, isBusy: () => busy > 0 };
}

test('two relays, one of which is killed, deliver all of 2,000 events, each order in its sequence', async () => {
  const consumerIds = [await q.consumer({ maxInFlight: 100 }), await q.consumer({ maxInFlight: 8 })];
  await fill(consumerIds);
  const total = ORDERS * EVENTS_EACH * consumerIds.length;
  const sent: string[] = [];
  const [victim, survivor] = [relay(q.another().queue, sent), relay(q.another().queue, sent)];
  await waitFor(
    'the victim holds something of what is under way',
    () => sent.length > total / 4 && victim.held.size > 0,
  );
  victim.kill.abort();
  await waitFor('what the victim had begun is done', () => !victim.isBusy());
  const tokens = [...victim.held];
  const left = () =>
    q.query(
      sql`select id, consumer_id, order_id, sequence, attempts from deliveries where status <> 'delivered' limit 5`,
    );
  await q.query(sql`update deliveries set next_attempt_at = now() where token = any(${tokens})`);
  await waitFor('all is delivered', async () => (await left()).length === 0, 45_000, left);
  survivor.stop.abort();
  await survivor.over;

  const first = [...new Set(sent)];
  expect(first).toHaveLength(total);
  const sequences = Map.groupBy(first, (key) => key.slice(0, key.indexOf(':')));
  expect(sequences.size).toBe(ORDERS * consumerIds.length);
  for (const keys of sequences.values()) expect(keys).toEqual(keys.toSorted());
  // Beyond the first of each: what fails at first, and what the victim had sent and not written.
  expect(sent.length - total).toBeLessThanOrEqual(EVENTS_EACH * consumerIds.length + tokens.length);
  const [attempts] = await q.query(sql<{ late: number; delivered: number }>`
    select count(*) filter (where late)::int as late, count(*) filter (where outcome = 'delivered')::int as delivered
    from attempts`);
  expect(attempts).toEqual({ late: 0, delivered: total });
});
