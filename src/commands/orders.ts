import { orderSummary } from '../api/schemas.ts';
import { formatMoney } from '../domain/money.ts';
import { orderStatuses } from '../domain/order.ts';
import type { OrderSummary } from '../domain/order-ports.ts';
import { createApiClient, Interrupted } from './api-client.ts';
import { apiKey } from './api-key.ts';
import { type Run, UsageError } from './command.ts';
import { age, printable, table } from './format.ts';
import { jsonPrinter, pagesOf, type Printer } from './listing.ts';
import { apiUrl, parseWords, wholeNumber } from './words.ts';

const help = `usage: evenkeel orders [options]

Lists orders, the newest first.

  --status S       only those with this status: ${orderStatuses.slice(0, 4).join(', ')},
                   ${orderStatuses.slice(4).join(', ')}
  --customer ID    only those of this customer
  --attention      only those that wait for a person
  --limit N        so many at most (20)
  --all            all of them
  --url URL        where the API is (from EVENKEEL_HTTP_HOST and EVENKEEL_HTTP_PORT)
  --json           one JSON array
`;

/** `evenkeel orders`: a table, or one JSON array. */
export const run: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, {
    help: { type: 'boolean', short: 'h' },
    status: { type: 'string' },
    customer: { type: 'string' },
    attention: { type: 'boolean' },
    limit: { type: 'string' },
    all: { type: 'boolean' },
    url: { type: 'string' },
    json: { type: 'boolean' },
  });
  if (values.help === true) {
    io.stdout.write(help);
    return 0;
  }
  if (positionals[0] !== undefined) {
    throw new UsageError(`'${positionals[0]}' is one word too many; one order is shown by 'evenkeel order ID'`);
  }
  if (values.status !== undefined && !orderStatuses.some((known) => known === values.status)) {
    throw new UsageError(`--status takes one of ${orderStatuses.join(', ')}, not '${values.status}'`);
  }
  if (values.all === true && values.limit !== undefined) throw new UsageError('--all and --limit exclude each other');
  const limit =
    values.all === true
      ? Number.POSITIVE_INFINITY
      : wholeNumber('limit', values.limit ?? '20', 1, Number.MAX_SAFE_INTEGER);
  const url = apiUrl(values.url, io);
  const client = createApiClient({
    url,
    key: apiKey(url, io),
    signal: io.signal,
    patienceMs: 5_000,
    connections: 1,
  });
  const filter = {
    ...(values.status === undefined ? {} : { status: values.status }),
    ...(values.customer === undefined ? {} : { customerId: values.customer }),
    ...(values.attention === true ? { attention: 'true' } : {}),
  };
  const print = values.json === true ? jsonPrinter(io.stdout) : tablePrinter(io.stdout, Date.now());
  try {
    for await (const some of pagesOf(client, { path: '/v1/orders', query: filter, of: orderSummary, limit }))
      print.page(some.data, some.more);
    print.end();
    return 0;
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    return 1;
  } finally {
    await client.close();
  }
};

function tablePrinter(out: NodeJS.WritableStream, nowMs: number): Printer<OrderSummary> {
  let shown = 0;
  let beyond = false;
  return {
    page(orders, more) {
      const head = shown === 0 ? [['ID', 'STATUS', 'ATTENTION', 'TOTAL', 'CUSTOMER', 'AGE']] : [];
      if (orders.length > 0) out.write(table([...head, ...orders.map((order) => row(order, nowMs))], [3]));
      shown += orders.length;
      beyond = more;
    },
    end() {
      if (shown === 0) out.write('no such orders\n');
      else if (beyond) out.write('there are more: --limit N or --all\n');
    },
  };
}

function row(order: OrderSummary, nowMs: number): readonly string[] {
  return [
    order.id,
    order.status,
    order.attention ? `at ${order.attention.step}` : '',
    formatMoney({ amountMinor: order.totalMinor, currency: order.currency }),
    printable(order.customerId),
    age(order.createdAt, nowMs),
  ];
}
