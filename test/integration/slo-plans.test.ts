/** That what the judge reads grows with what is due, and not with what there is. */
import { type RawBuilder, sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lagVerdicts } from '../../src/adapters/postgres/slo-lag.ts';
import { eventsPass } from '../../src/adapters/postgres/slo-deliveries.ts';
import { closedAttentionsPass, ordersPass, overdueAttentionsPass } from '../../src/adapters/postgres/slo-orders.ts';
import { connect } from '../../src/adapters/postgres/database.ts';
import { nextSpan } from '../../src/adapters/postgres/slo-pass.ts';
import { postgresSloRecords } from '../../src/adapters/postgres/slo-records.ts';
import { newSloStore, thresholds } from '../support/slo-store.ts';

const ROWS = 200_000;
let store: Awaited<ReturnType<typeof newSloStore>>;
let since: Date;

/** 200,000 orders, each with an event that is delivered to one consumer, one in a hundred late; one in ten waited. */
beforeAll(async () => {
  store = await newSloStore();
  const { admin } = store;
  since = new Date(Math.floor(Date.now() / 1_000) * 1_000 - 12 * 3_600_000);
  const at = `($2::timestamptz + n * interval '200 milliseconds')`;
  const given = [ROWS, since];
  await admin.query(`insert into consumers (id, name, target, types, like_types, max_in_flight, state, state_since, secret, created_at)
    select 'c' || n, 'n', '{}', '[]', '{}', 8, 'enabled', now(), 's', now() - interval '1 day' from generate_series(1, 5) n`);
  await admin.query(`insert into consumer_health (consumer_id) select id from consumers`);
  await admin.query(
    `insert into orders (id, caller, idempotency_key, body_hash, customer_id, currency, total_minor, payment_token,
       shipping_address, created_at, updated_at)
     select 'o' || n, 'd', 'o' || n, 'h', 'c', 'EUR', 1, 't', '{}', ${at}, ${at} from generate_series(1, $1::int) n`,
    given,
  );
  await admin.query(
    `insert into events (id, order_id, sequence, type, at, body)
     select 'e' || n, 'o' || n, 1, 'evenkeel.order.confirmed.v1', ${at}, '{}' from generate_series(1, $1::int) n`,
    given,
  );
  await admin.query(
    `insert into deliveries (event_id, consumer_id, order_id, sequence, status, created_at, first_attempt_at,
       next_attempt_at, settled_at)
     select 'e' || n, 'c' || (n % 5 + 1), 'o' || n, 1, 'delivered', ${at}, ${at} + (n % 100 / 99 * 40000) * interval '1 ms',
       ${at}, ${at} + interval '41 seconds' from generate_series(1, $1::int) n`,
    given,
  );
  await admin.query(
    `insert into attempts (delivery_id, consumer_id, started_at, duration_ms, outcome, relay)
     select id, consumer_id, first_attempt_at, 20, 'delivered', 'r' from deliveries`,
  );
  await admin.query(
    `insert into attentions (order_id, id, step, reason, allowed, opened_at, closed_at, closed_how)
     select 'o' || n, 'a', 'book', 'r', '[]', ${at}, case when n % 20 = 0 then ${at} + interval '1 minute' end, '{"by":"decision"}'
     from generate_series(10, $1::int, 10) n`,
    given,
  );
  await admin.query('analyze');
}, 300_000);
afterAll(() => store.stop());

interface Plan {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows'?: number;
  readonly 'Actual Loops'?: number;
  readonly Plans?: readonly Plan[];
}

/** The tables that are read from end to end, however the planner calls it. */
async function wholeReads(query: RawBuilder<unknown>): Promise<string[]> {
  return store.db.read(async (queries) => {
    const { rows } = await sql<{ 'QUERY PLAN': readonly { readonly Plan: Plan }[] }>`
      explain (analyze, format json) ${query}`.execute(queries);
    const nodes = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)];
    return nodes(rows[0]?.['QUERY PLAN'][0]?.Plan ?? { 'Node Type': 'none' })
      .filter(({ 'Relation Name': table }) => large.has(table ?? ''))
      .filter(
        (node) =>
          (node['Actual Rows'] ?? 0) * (node['Actual Loops'] ?? 1) > ROWS / 4 || node['Node Type'] === 'Seq Scan',
      )
      .map((node) => `${node['Node Type']} of ${node['Relation Name']}`);
  });
}
const large = new Set(['orders', 'events', 'deliveries', 'attempts', 'attentions']);

const passes = [ordersPass, closedAttentionsPass, overdueAttentionsPass, eventsPass];
/** Most of all is due; and the last of it only, as on any day. */
const cursors = [0.001, 0.5, 0.999];

test.each(passes.flatMap((pass) => cursors.map((share) => ({ name: pass.name, pass, share }))))(
  '$name: a round from $share of all on reads no table whole',
  async ({ pass, share }) => {
    const after = new Date(since.getTime() + share * ROWS * 200);
    const given = { after, until: new Date(), most: 2_000 };
    const { span, found } = await store.db.transaction((trx) => nextSpan(trx, pass, given));
    expect(found).toBeGreaterThan(5);
    expect(await wholeReads(pass.verdicts(span, thresholds))).toEqual([]);
    const times = sql`select at from (${pass.times}) as t where at > ${after} and at <= ${new Date()} order by at limit 2000`;
    expect(await wholeReads(times)).toEqual([]);
  },
);

test('the lag of a minute reads no table whole', async () => {
  const last = new Date(Math.floor((since.getTime() + ROWS * 200) / 60_000) * 60_000);
  expect(await wholeReads(lagVerdicts({ first: last, last, isMeasured: true, more: false }, thresholds))).toEqual([]);
});

test("consumers' shares of a day are read from no more than the newest deliveries", async () => {
  const queries: string[] = [];
  const db = connect(store.url, { pool: 1, observer: { statement: ({ sql: text }) => queries.push(text) } });
  const shares = await postgresSloRecords(db).byConsumer(24 * 3_600_000, 30_000);
  await db.destroy();
  expect(shares).toHaveLength(5);
  expect(shares.reduce((sum, { good, bad }) => sum + good + bad, 0)).toBe(50_000);
  expect(queries).toHaveLength(1);
});
