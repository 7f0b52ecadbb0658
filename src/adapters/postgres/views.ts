import { sql } from 'kysely';
import { DomainFailure } from '../../domain/failures.ts';
import type { OrderFilter, OrderViews } from '../../domain/order-ports.ts';
import type { Database } from './database.ts';
import { readOrderView, readSummaries } from './order-view.ts';

export function postgresViews(db: Database): OrderViews {
  const find: OrderViews['find'] = (orderId) => db.read((queries) => readOrderView(queries, orderId));
  return {
    find,
    list: async (filter) => {
      const orders = await db.read((queries) => readSummaries(queries, pageOf(filter)));
      const data = orders.slice(0, filter.limit);
      const last = data.at(-1);
      return { data, nextCursor: orders.length > data.length && last ? cursorOf(last.createdAt, last.id) : null };
    },
    waitForConfirmation: async (orderId, timeoutMs, signal) => {
      const before = await find(orderId);
      if (before === undefined || before.confirmedAt !== null || before.finishedAt !== null) return before;
      await db.settledOrders.wait(orderId, timeoutMs, signal);
      return find(orderId);
    },
  };
}

/** One row more than asked for tells whether there is another page. */
function pageOf({ status, customerId, attention, limit, cursor }: OrderFilter) {
  const conditions = [
    ...(status === undefined ? [] : [sql`o.status = ${status}`]),
    ...(customerId === undefined ? [] : [sql`o.customer_id = ${customerId}`]),
    ...(attention === undefined ? [] : [attention ? needsPerson : sql`not ${needsPerson}`]),
    ...(cursor === undefined ? [] : [after(cursor)]),
  ];
  const where = conditions.length === 0 ? sql`` : sql`where ${sql.join(conditions, sql` and `)}`;
  return sql`${where} order by o.created_at desc, o.id desc limit ${limit + 1}`;
}

const needsPerson = sql`exists (select 1 from attentions n where n.order_id = o.id and n.closed_at is null)`;

function after(cursor: string) {
  const { createdAt, id } = readCursor(cursor);
  return sql`(o.created_at, o.id) < (${createdAt}::timestamptz(3), ${id})`;
}

function cursorOf(createdAt: string, id: string): string {
  return Buffer.from(JSON.stringify([createdAt, id])).toString('base64url');
}

function readCursor(cursor: string): { readonly createdAt: string; readonly id: string } {
  try {
    const read: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (Array.isArray(read) && read.length === 2) {
      const [createdAt, id] = read as unknown[];
      const whole = typeof createdAt === 'string' && typeof id === 'string' && cursorOf(createdAt, id) === cursor;
      if (whole && new Date(createdAt).toISOString() === createdAt && !id.includes('\0')) return { createdAt, id };
    }
  } catch {
    // Not ours: said below, whatever it was.
  }
  throw new DomainFailure(
    'invalid_input',
    `cursor '${cursor}' is none of ours. Take nextCursor from a page as it is.`,
    {
      errors: [{ pointer: '/cursor', detail: 'Take nextCursor from the page before as it is, or leave it out.' }],
    },
  );
}
