import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { insertOrder } from '../support/delivery-rows.ts';
import { delivered, failed, newDeliveryQueue, quarters, settlement } from '../support/settlements.ts';

let q: Awaited<ReturnType<typeof newDeliveryQueue>>;
beforeAll(async () => {
  q = await newDeliveryQueue();
});
beforeEach(() => q.clear());
afterAll(() => q.stop());

const attempts = () =>
  q.query(sql`select delivery_id, outcome, cause, status, answer, error, late from attempts order by id`);

interface Row {
  readonly id: number;
  readonly status: string;
  readonly token: string | null;
  /** Seconds before it is tried again, rounded up to 15. */
  readonly wait: number;
  readonly strikes: number;
  readonly cause: string | null;
}
const rows = () =>
  q.query(sql<Row>`
    select id, status, token, ${quarters('next_attempt_at')} as wait, strikes, cause from deliveries order by id`);

async function row(delivery: { readonly id: number }): Promise<Row> {
  const found = (await rows()).find(({ id }) => id === delivery.id);
  if (found === undefined) throw new Error(`there is no delivery ${delivery.id}`);
  return found;
}

describe('an attempt', () => {
  test('that succeeded ends the delivery, one that failed has it wait, the last strike makes it a dead letter', async () => {
    const id = await q.consumer();
    await q.add(id);
    await q.add(id);
    await q.add(id, { strikes: 2 });
    const [one, two, three] = (await q.claim()).toSorted((a, b) => a.id - b.id);
    if (one === undefined || two === undefined || three === undefined) throw new Error('three were due');
    const settled = await q.settle(
      delivered(one),
      failed(two, 'http_500', { status: 500, answer: 'oh' }),
      failed(three, 'timeout'),
    );
    expect(settled).toEqual({ late: [], missed: [], troubled: [], disabled: [] });
    expect(await rows()).toMatchObject([
      { status: 'delivered', token: null, strikes: 0, cause: null },
      { status: 'pending', token: null, strikes: 1, cause: null, wait: 15 },
      { status: 'dead', token: null, strikes: 3, cause: 'timeout' },
    ]);
    expect(await attempts()).toMatchObject([
      { delivery_id: one.id, outcome: 'delivered', cause: null, status: 204, late: false },
      {
        delivery_id: two.id,
        outcome: 'failed',
        cause: 'http_500',
        status: 500,
        answer: 'oh',
        error: 'it was http_500',
      },
      { delivery_id: three.id, outcome: 'failed', cause: 'timeout', status: null, late: false },
    ]);
  });

  test('counts though its lease is over, while nobody else has taken it', async () => {
    await q.add(await q.consumer());
    const one = await q.only();
    await q.leaseOver();
    expect((await q.settle(delivered(one))).late).toEqual([]);
    expect(await rows()).toMatchObject([{ status: 'delivered' }]);
  });

  test('whose delivery another relay has taken is logged, and changes nothing', async () => {
    const id = await q.consumer();
    await q.add(id);
    const first = await q.only();
    await q.leaseOver();
    const second = await q.only();
    const before = [await rows(), await q.health(id)];
    expect(await q.settle(failed(first, 'connection_refused'))).toMatchObject({ late: [first.id] });
    expect([await rows(), await q.health(id)]).toEqual(before);
    expect((await q.settle(delivered(second))).late).toEqual([]);
    expect(await attempts()).toMatchObject([
      { outcome: 'failed', late: true },
      { outcome: 'delivered', late: false },
    ]);
  });

  test('whose consumer was deleted meanwhile changes nothing', async () => {
    await q.add(await q.consumer());
    const one = await q.only();
    await q.query(sql`update consumers set deleted_at = clock_timestamp()`);
    await q.another().claim();
    expect(await q.settle(delivered(one))).toMatchObject({ late: [one.id] });
    expect(await rows()).toMatchObject([{ status: 'dead', cause: 'consumer_deleted' }]);
  });

  test('whose delivery somebody holds keeps no other waiting, and is written later', async () => {
    const id = await q.consumer();
    await q.add(id);
    await q.add(id);
    const [held, free] = await q.claim();
    if (held === undefined || free === undefined) throw new Error('two were due');
    const before = [await row(held), await q.health(id)];
    const lock = sql`select 1 from deliveries where id = ${held.id} for update`;
    const settled = await q.holding(lock, () => q.settle(failed(held, 'connection_refused'), delivered(free)));
    expect(settled).toMatchObject({ late: [], missed: [held.id] });
    expect([await row(held), await q.health(id)]).toEqual(before);
    expect(await row(free)).toMatchObject({ status: 'delivered' });
    expect(await attempts()).toMatchObject([{ delivery_id: free.id }]);
    expect(await q.settle(delivered(held))).toMatchObject({ late: [], missed: [] });
    expect(await row(held)).toMatchObject({ status: 'delivered' });
  });

  test('that is written again, because the answer got lost, is logged once', async () => {
    await q.add(await q.consumer());
    const outcome = delivered(await q.only());
    await q.settle(outcome);
    expect(await q.settle(outcome)).toEqual({ late: [], missed: [], troubled: [], disabled: [] });
    expect(await attempts()).toMatchObject([{ late: false }]);
  });

  test('may have any answer, even one that is no text', async () => {
    await q.add(await q.consumer());
    await q.settle(
      settlement(await q.only(), { cause: 'http_500', answer: 'a\u0000b\uD800', error: '\u0000', status: 500 }),
    );
    expect(await attempts()).toMatchObject([{ answer: 'ab\uFFFD', error: '' }]);
  });
});

describe('later events of an order', () => {
  const three = async (id: string) => {
    const orderId = await insertOrder(q.db);
    return [
      await q.add(id, { orderId }),
      await q.add(id, { orderId, sequence: 2 }),
      await q.add(id, { orderId, sequence: 3 }),
    ] as const;
  };

  test('wait as long as the first that failed, and are due when it got through', async () => {
    const id = await q.consumer();
    const other = await q.consumer();
    const [head, second, third] = await three(id);
    const late = await q.add(id, { orderId: head.orderId, sequence: 4, isLate: true, dueInMs: -500 });
    const elsewhere = await q.add(other, { orderId: head.orderId, sequence: 5 });
    const claimed = (await q.claim()).find((one) => one.id === head.id);
    if (claimed === undefined) throw new Error('the first was not due');
    await q.settle(failed(claimed));
    for (const one of [head, second, third]) expect(await row(one)).toMatchObject({ status: 'pending', wait: 15 });
    for (const one of [late, elsewhere]) expect((await row(one)).token).not.toBeNull();

    await q.query(sql`update deliveries set next_attempt_at = clock_timestamp() where id = ${head.id}`);
    await q.settle(delivered(await q.only()));
    expect([(await row(second)).wait, (await row(third)).wait]).toEqual([0, 0]);
    expect(await q.only()).toMatchObject({ id: second.id });
  });

  test('are due when the first is a dead letter, and other orders never waited', async () => {
    const id = await q.consumer();
    const [head, second] = await three(id);
    let tries = 0;
    while ((await row(head)).status === 'pending') {
      const another = await q.add(id);
      const claimed = await q.claim();
      expect(claimed.map((one) => one.id).toSorted()).toEqual([head.id, another.id].toSorted());
      await q.settle(...claimed.map((one) => (one.id === head.id ? failed(one) : delivered(one))));
      await q.query(sql`update deliveries set next_attempt_at = clock_timestamp() where id = ${head.id}`);
      tries += 1;
    }
    expect(tries).toBe(3);
    expect(await q.only()).toMatchObject({ id: second.id });
  });

  test('do not move for a late one of their order', async () => {
    const id = await q.consumer({ maxInFlight: 1 });
    const late = await q.add(id, { isLate: true });
    const next = await q.add(id, { orderId: late.orderId, sequence: 2, dueInMs: -10 });
    await q.settle(failed(await q.only()));
    expect((await row(next)).wait).toBe(0);
  });
});
