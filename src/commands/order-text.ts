import { formatMoney } from '../domain/money.ts';
import type { AttentionView, OrderView } from '../domain/order-ports.ts';
import type { DecisionAction } from '../domain/steps.ts';
import { age, printable, since, table } from './format.ts';

const MAX_ITEMS = 20;
const MAX_DETAIL = 160;

type TimelineEntry = OrderView['timeline'][number];

/** All of an order that a person wants to know, as text. `url` is the API's, for the commands to copy. */
export function orderText(order: OrderView, url: URL, nowMs: number): string {
  return [
    head(order, nowMs),
    section('Items', items(order)),
    section('Payment', payment(order)),
    section('Fulfillments', fulfillments(order)),
    section('Timeline', timelineText(order.timeline, order)),
    ...order.attentions.map((attention) => section('Waits for a person', attentionText(order, attention, url, nowMs))),
  ].join('');
}

/** `entries` with the time since the order's creation. The order's own id, which others begin with, is left out. */
export function timelineText(entries: readonly TimelineEntry[], order: Pick<OrderView, 'id' | 'createdAt'>): string {
  return table(
    entries.map(({ at, type, detail }) => [since(order.createdAt, at), shortType(type), detailText(detail, order.id)]),
    [0],
  );
}

function section(title: string, text: string): string {
  const indented = text.replace(/^(?=.)/gm, '  ');
  return text === '' ? '' : `\n${title}\n${indented}`;
}

function head(order: OrderView, nowMs: number): string {
  const money = formatMoney({ amountMinor: order.totalMinor, currency: order.currency });
  const rows: [string, string][] = [
    ['Order', order.id],
    ['Status', `${order.status}${order.attention ? `, waits for a person at ${order.attention.step}` : ''}`],
    ['Total', money],
    ['Customer', printable(order.customerId)],
    ['Created', `${order.createdAt}, ${age(order.createdAt, nowMs)} ago`],
  ];
  if (order.confirmedAt) rows.push(['Confirmed', `${order.confirmedAt}, ${since(order.createdAt, order.confirmedAt)}`]);
  if (order.finishedAt) rows.push(['Finished', `${order.finishedAt}, ${since(order.createdAt, order.finishedAt)}`]);
  if (order.cancelRequestedAt) rows.push(['Cancellation', `asked for at ${order.cancelRequestedAt}`]);
  if (order.reason !== null) rows.push(['Reason', printable(order.reason)]);
  return table(rows);
}

function items({ items: all, currency }: OrderView): string {
  const money = (amountMinor: number): string => formatMoney({ amountMinor, currency });
  const rows = all
    .slice(0, MAX_ITEMS)
    .map(({ sku, description, quantity, unitPriceMinor, totalMinor }) => [
      printable(sku),
      printable(description).slice(0, 40),
      String(quantity),
      money(unitPriceMinor),
      money(totalMinor),
    ]);
  const more = all.length > MAX_ITEMS ? `and ${all.length - MAX_ITEMS} more\n` : '';
  return table(rows, [2, 3, 4]) + more;
}

function payment({ payment: { status, authorizedMinor, capturedMinor, refundedMinor }, currency }: OrderView): string {
  const amounts = { authorized: authorizedMinor, captured: capturedMinor, refunded: refundedMinor };
  const parts = Object.entries(amounts).flatMap(([name, amountMinor]) =>
    amountMinor > 0 ? [`${formatMoney({ amountMinor, currency })} ${name}`] : [],
  );
  return `${[status, ...parts].join(', ')}\n`;
}

function fulfillments({ fulfillments: all, currency }: OrderView): string {
  return table(
    all.map((one) => [
      printable(one.id),
      one.status,
      formatMoney({ amountMinor: one.amountMinor, currency }),
      `from ${printable(one.location)}`,
      one.trackingNumber === null ? '' : `tracking ${printable(one.trackingNumber)}`,
    ]),
    [2],
  );
}

/** What can be decided, each with the command that decides it. */
function attentionText(order: OrderView, attention: AttentionView, url: URL, nowMs: number): string {
  const where = attention.fulfillmentId === null ? '' : ` of ${printable(attention.fulfillmentId)}`;
  const commands = attention.allowed.map(
    (action) => `${action}: ${meanings[action]}\n${decisionCommand(order.id, attention, action, url)}\n`,
  );
  return `for ${age(attention.since, nowMs)}, at ${attention.step}${where}: ${printable(attention.reason)}\nYou can decide:\n\n${commands.join('\n')}`;
}

const meanings: Readonly<Record<DecisionAction, string>> = {
  retry: 'try it once more',
  retry_corrected: 'try it with a corrected payment token or address',
  skip: 'count it as done, because somebody has seen to it',
  cancel: 'give it up and undo what it took',
  approve: 'let the order pass',
  reject: 'refuse the order',
};

function decisionCommand(orderId: string, attention: AttentionView, action: DecisionAction, url: URL): string {
  const correction =
    attention.step === 'authorize'
      ? { paymentToken: 'TOKEN' }
      : { shippingAddress: { name: 'NAME', line1: 'STREET', city: 'CITY', postalCode: 'CODE', country: 'GB' } };
  const body = {
    attentionId: attention.id,
    action,
    reason: 'WHY',
    actor: 'WHO',
    ...(action === 'retry_corrected' ? { correction } : {}),
  };
  const target = `${url.href.replace(/\/+$/, '')}/v1/orders/${orderId}/decisions`;
  const json = JSON.stringify(body).replaceAll("'", String.raw`'\''`);
  return `  curl -X POST ${target} -H 'content-type: application/json' -d '${json}'`;
}

/** "shipment dispatched" for `evenkeel.order.shipment_dispatched.v1`. */
export function shortType(type: string): string {
  return printable(type.replace(/^evenkeel\.order\./, '').replace(/\.v\d+$/, '')).replaceAll('_', ' ');
}

/** "amount 12.50 GBP, reason card_declined". */
function detailText(detail: TimelineEntry['detail'], orderId: string): string {
  const { currency, ...facts } = detail;
  const parts = Object.entries(facts).map(([name, value]) => {
    if (name.endsWith('Minor') && typeof value === 'number' && typeof currency === 'string') {
      return `${name.slice(0, -'Minor'.length)} ${formatMoney({ amountMinor: value, currency })}`;
    }
    return `${name} ${valueText(value)}`;
  });
  const text = printable(parts.join(', ')).replaceAll(orderId, '…');
  return text.length > MAX_DETAIL ? `${text.slice(0, MAX_DETAIL - 1)}…` : text;
}

function valueText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value.join('/');
  return JSON.stringify(value);
}
