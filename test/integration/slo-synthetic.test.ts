/** That orders which only look whether all works spend no budget, and are told apart from those of real customers. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { syntheticPrefix } from '../../src/domain/objectives.ts';
import { judgeAll, newSloStore } from '../support/slo-store.ts';

let store: Awaited<ReturnType<typeof newSloStore>>;
beforeAll(async () => {
  store = await newSloStore();
});
afterAll(() => store.stop());

const HOUR_MS = 3_600_000;

/** For each customer an order that is too late, and one in time: both waited for a person, one in vain. */
async function ordersOf(customers: readonly string[]): Promise<void> {
  const since = Date.now() - HOUR_MS;
  await store.begin(since - 1);
  const given = [customers, since];
  const customer = `unnest($1::text[]) with ordinality as c (id, n) cross join (values ('late'), ('soon')) as k (kind)`;
  await store.admin.query(
    `insert into orders (id, caller, idempotency_key, body_hash, customer_id, currency, total_minor, payment_token,
       shipping_address, created_at, updated_at)
     select n || kind, 'd', n || kind, 'h', c.id, 'EUR', 1, 't', '{}', at, at
     from ${customer}, to_timestamp($2 / 1000.0) as at`,
    given,
  );
  await store.admin.query(
    `insert into events (id, order_id, sequence, type, at, body)
     select n || kind, n || kind, 1, 'evenkeel.order.confirmed.v1',
       at + case kind when 'late' then interval '1 minute' else interval '1 ms' end, '{}'
     from ${customer}, to_timestamp($2 / 1000.0) as at`,
    given,
  );
  await store.admin.query(
    `insert into attentions (order_id, id, step, reason, allowed, opened_at, closed_at, closed_how)
     select n || kind, 'a', 'book', 'r', '[]', at, case kind when 'soon' then at + interval '1 minute' end,
       case kind when 'soon' then '{"by":"decision"}'::jsonb end
     from ${customer}, to_timestamp($2 / 1000.0) as at`,
    given,
  );
}

async function judged(name: string): Promise<object | undefined> {
  const totals = await store.records().totals();
  return totals.find(({ slo }) => slo === name);
}

test.each(['order-processing', 'human-decision'])('%s excludes a synthetic order, good or bad', async (slo) => {
  await ordersOf([`${syntheticPrefix}probe`, syntheticPrefix]);
  await judgeAll(store.records());
  expect(await judged(slo)).toMatchObject({ good: 0, bad: 0, excluded: 4 });
});

test.each(['order-processing', 'human-decision'])('%s counts whoever is only named alike', async (slo) => {
  await ordersOf(['ada', 'Synthetic-ada', 'synthetic', 'syntheticXada', 'my-synthetic-ada']);
  await judgeAll(store.records());
  expect(await judged(slo)).toMatchObject({ good: 5, bad: 5, excluded: 0 });
});
