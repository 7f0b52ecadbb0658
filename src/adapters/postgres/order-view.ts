import { type RawBuilder, sql } from 'kysely';
import type { EventData } from '../../domain/events.ts';
import type { OrderStatus } from '../../domain/order.ts';
import { derivePayment, type PaymentEntry } from '../../domain/payment.ts';
import type { AttentionView, FulfillmentView, OrderItem, OrderSummary, OrderView } from '../../domain/order-ports.ts';
import { STANDS_STILL } from '../../domain/steps.ts';
import type { Queries } from './database.ts';

interface SummaryRow {
  readonly id: string;
  readonly status: OrderStatus;
  readonly attentions: readonly AttentionView[];
  readonly customer_id: string;
  readonly currency: string;
  readonly total_minor: number;
  readonly version: number;
  readonly reason: string | null;
  readonly cancel_requested_at: Date | null;
  readonly created_at: Date;
  readonly confirmed_at: Date | null;
  readonly finished_at: Date | null;
}

interface ViewRow extends SummaryRow {
  readonly items: readonly OrderItem[];
  readonly payments: readonly PaymentEntry[];
  readonly fulfillments: readonly FulfillmentView[];
  readonly timeline: readonly { readonly at: string; readonly type: string; readonly detail: EventData }[];
}

/**
 * First what a person can act on: as long as the workflow is lost, nobody hears a decision about anything else; one that
 * only stands still hears it, and may stand still because it waits for just that.
 */
const attentions = sql`
  (select coalesce(json_agg(json_build_object('id', a.id, 'step', a.step, 'fulfillmentId', a.fulfillment_id,
     'reason', a.reason, 'allowed', a.allowed, 'since', a.opened_at)
     order by case when a.step <> 'workflow' then 2 when starts_with(a.reason, ${STANDS_STILL}) then 3 else 1 end,
       a.opened_at, a.id), '[]')
   from attentions a where a.order_id = o.id and a.closed_at is null) as attentions`;

const summaryColumns = sql`
  o.id, o.status, o.customer_id, o.currency, o.total_minor, o.version, o.reason, o.cancel_requested_at, o.created_at,
  o.confirmed_at, o.finished_at, ${attentions}`;

/** One row per order; `rest` is what follows `from orders o`. */
export async function readSummaries(queries: Queries, rest: RawBuilder<unknown>): Promise<OrderSummary[]> {
  const { rows } = await sql<SummaryRow>`select ${summaryColumns} from orders o ${rest}`.execute(queries);
  return rows.map(summaryOf);
}

/** The whole order in one statement: all of it as of one moment, so that `version` names exactly what is shown. */
export async function readOrderView(queries: Queries, orderId: string): Promise<OrderView | undefined> {
  const { rows } = await sql<ViewRow>`
    select ${summaryColumns},
      (select coalesce(json_agg(json_build_object('sku', l.sku, 'description', l.description, 'quantity', l.quantity,
         'unitPriceMinor', l.unit_price_minor, 'totalMinor', l.total_minor) order by l.line_no), '[]')
       from order_lines l where l.order_id = o.id) as items,
      (select coalesce(json_agg(json_build_object('key', p.key, 'operation', p.operation, 'phase', p.phase,
         'amountMinor', p.amount_minor, 'code', p.code) order by p.id), '[]')
       from payment_entries p where p.order_id = o.id) as payments,
      (select coalesce(json_agg(json_build_object('id', f.id, 'location', f.location, 'status', f.status,
         'amountMinor', f.amount_minor, 'shipmentId', f.shipment_id, 'trackingNumber', f.tracking_number,
         'items', items.items, 'bookedAt', f.booked_at, 'dispatchedAt', f.dispatched_at,
         'deliveredAt', f.delivered_at) order by f.ordinal), '[]')
       from fulfillments f, lateral (
         select json_agg(json_build_object('sku', r.sku, 'quantity', r.quantity) order by r.line_no) as items
         from (select sku, sum(quantity)::bigint as quantity, min(line_no) as line_no
               from reservations where fulfillment_id = f.id group by sku) r
       ) items where f.order_id = o.id) as fulfillments,
      (select coalesce(json_agg(json_build_object('at', e.at, 'type', e.type, 'detail', e.body::json -> 'data')
         order by e.sequence), '[]')
       from events e where e.order_id = o.id and e.replaces is null) as timeline
    from orders o where o.id = ${orderId}`.execute(queries);
  const [row] = rows;
  if (row === undefined) return undefined;
  return {
    ...summaryOf(row),
    attentions: row.attentions.map(attentionOf),
    items: row.items,
    payment: derivePayment(row.payments),
    fulfillments: row.fulfillments.map((fulfillment) =>
      Object.assign(fulfillment, {
        bookedAt: iso(fulfillment.bookedAt),
        dispatchedAt: iso(fulfillment.dispatchedAt),
        deliveredAt: iso(fulfillment.deliveredAt),
      }),
    ),
    timeline: row.timeline.map(({ at, type, detail }) => ({ at: new Date(at).toISOString(), type, detail })),
  };
}

function attentionOf(attention: AttentionView): AttentionView {
  return { ...attention, since: new Date(attention.since).toISOString() };
}

function summaryOf(row: SummaryRow): OrderSummary {
  const [first] = row.attentions;
  return {
    id: row.id,
    status: row.status,
    attention: first === undefined ? null : attentionOf(first),
    customerId: row.customer_id,
    currency: row.currency,
    totalMinor: row.total_minor,
    version: row.version,
    reason: row.reason,
    cancelRequestedAt: iso(row.cancel_requested_at),
    createdAt: row.created_at.toISOString(),
    confirmedAt: iso(row.confirmed_at),
    finishedAt: iso(row.finished_at),
  };
}

/** PostgreSQL's JSON writes times its own way. */
function iso(time: Date | string | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}
