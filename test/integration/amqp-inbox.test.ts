import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { postgresMessageInbox } from '../../src/adapters/postgres/message-inbox.ts';
import type { ArrivedMessage, MessageInbox } from '../../src/domain/message-ports.ts';
import { MemoryInbox } from '../support/memory-orders-queue.ts';
import { newPostgresStores } from '../support/postgres-stores.ts';
import { shopOf } from '../support/store-conformance/shop.ts';

/** The inbox of the queue's messages in PostgreSQL, which is to know what the one in memory knows. */
let made: Awaited<ReturnType<typeof newPostgresStores>>;
let inbox: MessageInbox;
let orderIds: readonly string[];

beforeAll(async () => {
  made = await newPostgresStores();
  inbox = postgresMessageInbox(made.db);
  const shop = shopOf(made.stores);
  const sku = await shop.sku();
  orderIds = [(await shop.accept([{ sku, quantity: 1 }])).id, (await shop.accept([{ sku, quantity: 1 }])).id];
});
afterAll(async () => {
  await made.stop();
});

const message = (changes: Partial<ArrivedMessage> = {}): ArrivedMessage => ({
  messageId: randomUUID(),
  digest: 'd1',
  round: 0,
  ...changes,
});

test('an attempt is counted before it is made, and stays counted though nobody hears of its end', async () => {
  const one = message();
  expect(await inbox.begin(one)).toEqual({ kind: 'begun', attempts: 1, round: 0, lastError: null });
  expect(await inbox.begin(one)).toEqual({ kind: 'begun', attempts: 2, round: 0, lastError: null });
});

test('copies that come at the same time are each counted', async () => {
  const one = message();
  const begun = await Promise.all(Array.from({ length: 10 }, () => inbox.begin(one)));
  const attempts = begun.map((each) => (each.kind === 'begun' ? each.attempts : each.kind));
  expect(attempts.toSorted((a, b) => Number(a) - Number(b))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test('whatever happens to a message, both inboxes say the same of it', async () => {
  const step = fc.record({
    what: fc.constantFrom('begin', 'begin', 'begin', 'done', 'failed', 'parked'),
    digest: fc.constantFrom('d1', 'd2'),
    round: fc.nat(2),
    order: fc.nat(1),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), async (steps) => {
      const memory = new MemoryInbox();
      const messageId = randomUUID();
      // Nothing ends that was not begun.
      for (const { what, digest, round, order } of [{ ...steps[0], what: 'begin' } as (typeof steps)[0], ...steps]) {
        if (what === undefined) continue;
        const both = async <T>(ask: (of: MessageInbox) => Promise<T>) => [await ask(inbox), await ask(memory)];
        const one = { messageId, digest: digest ?? 'd1', round: round ?? 0 };
        const failure = { error: `error ${round}`, attempts: 3, round: 0 };
        const [real, expected] = await both(async (of): Promise<unknown> => {
          if (what === 'begin') return of.begin(one);
          if (what === 'done') return of.done(one, orderIds[order ?? 0] ?? '');
          return of.failed(one, failure, what === 'parked');
        });
        expect(real).toEqual(expected);
      }
    }),
    { numRuns: 150 },
  );
});

test('the inbox of the carrier has its ids to itself', async () => {
  const shop = shopOf(made.stores);
  const { id } = await shop.accept([{ sku: await shop.sku(), quantity: 1 }]);
  const [planned] = await shop.reserve(id);
  if (planned === undefined) throw new Error('nothing was planned');
  const carriers = {
    messageId: randomUUID(),
    orderId: id,
    fulfillmentId: planned.id,
    shipmentId: 's1',
    kind: 'dispatched',
    at: '2026-01-02T03:04:05Z',
  } as const;
  await inbox.begin(message({ messageId: carriers.messageId }));
  expect(await made.stores.inbox.keep(carriers)).toBe('kept');
  expect(await inbox.begin(message({ messageId: carriers.messageId }))).toMatchObject({ kind: 'begun', attempts: 2 });
});
