import { sql } from 'kysely';
import type { OrderFilter, OrderSummary, OrderViews } from '../../domain/order-ports.ts';
import { keyset, whereAll } from './cursor.ts';
import type { Database } from './database.ts';
import { readOrderView, readSummaries } from './order-view.ts';

const newest = keyset('newest', [
  ['o.created_at', 'time'],
  ['o.id', 'text'],
]);

const keyOf = ({ createdAt, id }: OrderSummary) => [createdAt, id];

export function postgresViews(db: Database): OrderViews {
  const find: OrderViews['find'] = (orderId) => db.read((queries) => readOrderView(queries, orderId));
  return {
    find,
    list: async (filter) => {
      const orders = await db.read((queries) => readSummaries(queries, selection(filter)));
      return newest.page(orders, filter.limit, keyOf, (order) => order);
    },
    waitForConfirmation: async (orderId, timeoutMs, signal) => {
      const before = await find(orderId);
      if (before === undefined || before.confirmedAt !== null || before.finishedAt !== null) return before;
      await db.settledOrders.wait(orderId, timeoutMs, signal);
      return find(orderId);
    },
  };
}

function selection({ status, customerId, attention, limit, cursor }: OrderFilter) {
  const where = whereAll([
    ...(status === undefined ? [] : [sql`o.status = ${status}`]),
    ...(customerId === undefined ? [] : [sql`o.customer_id = ${customerId}`]),
    ...(attention === undefined ? [] : [attention ? needsPerson : sql`not ${needsPerson}`]),
    ...(cursor === undefined ? [] : [newest.after(cursor)]),
  ]);
  return sql`${where} order by ${newest.orderBy} limit ${limit + 1}`;
}

const needsPerson = sql`exists (select 1 from attentions n where n.order_id = o.id and n.closed_at is null)`;
