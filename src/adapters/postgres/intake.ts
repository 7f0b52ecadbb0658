import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { DomainFailure, type InputError } from '../../domain/failures.ts';
import type { CatalogItem, Idempotency, Intake, IntakeResult, NewOrder, OrderView } from '../../domain/order-ports.ts';
import { insertFirstEvent } from './change.ts';
import type { CommittedChange, Database, Queries } from './database.ts';
import { claimKey, memory, rememberAnswer } from './idempotency.ts';
import { readOrderView } from './order-view.ts';

/** The scope's middle part; an answer is remembered per caller, route and key. */
const route = 'POST /v1/orders';

export function postgresIntake(db: Database): Intake {
  return {
    async accept(order, idempotency, traceparent) {
      const accepted = await db.transaction(async (trx): Promise<IntakeResult> => {
        await claimKey(trx, route, idempotency);
        const earlier = await findEarlier(trx, idempotency);
        if (earlier !== undefined) return repeat(trx, earlier, idempotency);
        const lines = priced(order, await prices(trx, order));
        const orderId = await insertOrder(trx, order, lines, idempotency, traceparent);
        const view = await mustRead(trx, orderId);
        await rememberAnswer(trx, route, idempotency, JSON.stringify(view), orderId);
        return { kind: 'created', order: view };
      });
      if (accepted.kind === 'created') db.observer.changed?.(createdChange(accepted.order));
      return accepted;
    },
  };
}

function createdChange({ id: orderId, status, createdAt }: OrderView): CommittedChange {
  const at = new Date(createdAt);
  return { orderId, from: null, to: status, createdAt: at, at, events: ['evenkeel.order.created.v1'] };
}

interface Earlier {
  readonly order_id: string;
  readonly body_hash: string;
  readonly answer: string | null;
}

async function findEarlier(trx: Queries, { caller, key }: Idempotency): Promise<Earlier | undefined> {
  const { rows } = await sql<Earlier>`
    select o.id as order_id, o.body_hash, a.answer
    from orders o left join idempotency_answers a
      on a.caller = o.caller and a.route = ${route} and a.key = o.idempotency_key
      and a.created_at > clock_timestamp() - ${memory}
    where o.caller = ${caller} and o.idempotency_key = ${key}`.execute(trx);
  return rows[0];
}

async function repeat(trx: Queries, earlier: Earlier, { key, bodyHash }: Idempotency): Promise<IntakeResult> {
  const { order_id: orderId, answer } = earlier;
  if (earlier.body_hash !== bodyHash) {
    throw new DomainFailure(
      'idempotency_key_reused',
      `Idempotency-Key '${key}' belongs to order ${orderId}, made by another body. Use a new key for another order.`,
    );
  }
  if (answer !== null) return { kind: 'replayed', answer, orderId };
  return { kind: 'existing', order: await mustRead(trx, orderId) };
}

async function prices(trx: Queries, order: NewOrder): Promise<ReadonlyMap<string, CatalogItem>> {
  const rows = await trx
    .selectFrom('catalog')
    .select(['sku', 'description', 'price_minor as priceMinor', 'currency'])
    .where('sku', '=', sql<string>`any(${[...new Set(order.items.map((item) => item.sku))]})`)
    .execute();
  return new Map(rows.map((row) => [row.sku, row]));
}

interface PricedLine {
  readonly sku: string;
  readonly description: string;
  readonly quantity: number;
  readonly unitPriceMinor: number;
  readonly totalMinor: number;
}

/** Throws `invalid_input` that names every line that cannot be priced. */
function priced(order: NewOrder, catalog: ReadonlyMap<string, CatalogItem>): readonly PricedLine[] {
  const errors: InputError[] = [];
  const lines: PricedLine[] = [];
  for (const [index, { sku, quantity }] of order.items.entries()) {
    const item = catalog.get(sku);
    const totalMinor = (item?.priceMinor ?? 0) * quantity;
    const at = `/items/${index}`;
    if (item === undefined) {
      errors.push({ pointer: `${at}/sku`, detail: `There is no SKU '${sku}' in the catalog.` });
    } else if (item.currency !== order.currency) {
      const detail = `SKU '${sku}' is sold in ${item.currency}, the order is in ${order.currency}.`;
      errors.push({ pointer: `${at}/sku`, detail });
    } else if (!Number.isSafeInteger(totalMinor)) {
      errors.push({ pointer: `${at}/quantity`, detail: `${quantity} of SKU '${sku}' cost more than can be counted.` });
    } else {
      const { description, priceMinor } = item;
      lines.push({ sku, description, quantity, unitPriceMinor: priceMinor, totalMinor });
    }
  }
  if (errors.length === 0 && !Number.isSafeInteger(totalOf(lines))) {
    errors.push({ pointer: '/items', detail: 'The items cost more together than can be counted.' });
  }
  if (errors.length === 0 && totalOf(lines) === 0) {
    // No gateway holds an amount of 0, and nothing else would prove that somebody wants to pay.
    const detail = `The items cost 0 ${order.currency} together. Order at least one that has a price.`;
    errors.push({ pointer: '/items', detail });
  }
  if (errors.length > 0) {
    throw new DomainFailure('invalid_input', `${errors.length} of the order's items cannot be ordered.`, { errors });
  }
  return lines;
}

function totalOf(lines: readonly PricedLine[]): number {
  return lines.reduce((sum, line) => sum + line.totalMinor, 0);
}

async function insertOrder(
  trx: Queries,
  order: NewOrder,
  lines: readonly PricedLine[],
  { caller, key, bodyHash }: Idempotency,
  traceparent: string | undefined,
): Promise<string> {
  const orderId = randomUUID();
  const { customerId, currency } = order;
  const totalMinor = totalOf(lines);
  const { at } = await trx
    .insertInto('orders')
    .values({
      id: orderId,
      caller,
      idempotency_key: key,
      body_hash: bodyHash,
      customer_id: customerId,
      currency,
      total_minor: totalMinor,
      payment_token: order.payment.token,
      shipping_address: JSON.stringify(order.shippingAddress),
      email: order.email ?? null,
      event_sequence: 1,
      created_at: sql`clock_timestamp()`,
      updated_at: sql`clock_timestamp()`,
    })
    .returning('created_at as at')
    .executeTakeFirstOrThrow();
  await sql`
    insert into order_lines (order_id, line_no, sku, description, quantity, unit_price_minor, total_minor)
    select ${orderId}, line.* from unnest(
      ${lines.map((_, index) => index + 1)}::int[], ${lines.map((line) => line.sku)}::text[],
      ${lines.map((line) => line.description)}::text[], ${lines.map((line) => line.quantity)}::bigint[],
      ${lines.map((line) => line.unitPriceMinor)}::bigint[], ${lines.map((line) => line.totalMinor)}::bigint[]
    ) as line`.execute(trx);
  const data = { customerId, totalMinor, currency, lines: lines.length };
  await insertFirstEvent(trx, { orderId, at, traceparent }, { type: 'evenkeel.order.created.v1', data });
  return orderId;
}

async function mustRead(trx: Queries, orderId: string): Promise<OrderView> {
  const view = await readOrderView(trx, orderId);
  if (view === undefined) throw new Error(`order ${orderId} is gone within its own transaction`);
  return view;
}
