import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { order as orderSchema } from '../api/schemas.ts';
import { isTerminal } from '../domain/order.ts';
import type { OrderView } from '../domain/order-ports.ts';
import { type ApiClient, createApiClient, Interrupted } from './api-client.ts';
import { apiKey } from './api-key.ts';
import { type CommandIo, type Run, UsageError } from './command.ts';
import { orderText, timelineText } from './order-text.ts';
import { apiUrl, onlyWord, parseWords } from './words.ts';

const help = `usage: evenkeel order ID [options]

Shows one order: its items, payment, fulfillments and timeline, and what a person can decide where it waits for one.

  --watch    go on with what happens to it, until it is at its end or Ctrl-C
  --url URL  where the API is (from EVENKEEL_HTTP_HOST and EVENKEEL_HTTP_PORT)
  --json     as the API gives it; with --watch, one line for each version of it
`;

const WATCH_MS = 500;
/** Who watches an order does not give up at the API's first restart. */
const WATCH_PATIENCE_MS = 10 * 60_000;

/** `evenkeel order ID` */
export const run: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, {
    help: { type: 'boolean', short: 'h' },
    watch: { type: 'boolean' },
    url: { type: 'string' },
    json: { type: 'boolean' },
  });
  if (values.help === true) {
    io.stdout.write(help);
    return 0;
  }
  const id = onlyWord(positionals, 'ID');
  if (!z.guid().safeParse(id).success) {
    throw new UsageError(`'${id}' is no order's id, which looks like 0196f1f0-…; 'evenkeel orders' lists them`);
  }
  const url = apiUrl(values.url, io);
  const options = { url, key: apiKey(url, io), signal: io.signal, connections: 1 };
  const json = values.json ?? false;
  const first = createApiClient({ ...options, patienceMs: 5_000 });
  try {
    const order = await fetchOrder(first, id);
    if (values.watch !== true) {
      io.stdout.write(json ? `${JSON.stringify(order, null, 2)}\n` : orderText(order, url, Date.now()));
      return 0;
    }
    const client = createApiClient({ ...options, patienceMs: WATCH_PATIENCE_MS });
    try {
      await watch(client, order, io, url, json);
      return 0;
    } finally {
      await client.close();
    }
  } catch (error) {
    if (error instanceof Interrupted) return values.watch === true ? 0 : 1;
    throw error;
  } finally {
    await first.close();
  }
};

/** Shows the order, then what is added to it, until its end. Throws `Interrupted` where somebody ends it before. */
async function watch(client: ApiClient, first: OrderView, io: CommandIo, url: URL, json: boolean): Promise<void> {
  io.stdout.write(json ? `${JSON.stringify(first)}\n` : orderText(first, url, Date.now()));
  let seen = first;
  while (!isTerminal(seen.status)) {
    await sleep(WATCH_MS, undefined, { signal: io.signal }).catch(() => {
      throw new Interrupted('stopped');
    });
    const order = await fetchOrder(client, seen.id);
    if (order.version === seen.version) continue;
    if (json) io.stdout.write(`${JSON.stringify(order)}\n`);
    else io.stdout.write(news(seen, order, url));
    seen = order;
  }
}

function news(before: OrderView, order: OrderView, url: URL): string {
  const added = timelineText(order.timeline.slice(before.timeline.length), order).replace(/^(?=.)/gm, '  ');
  const waitsAnew = order.attention !== null && order.attention.id !== before.attention?.id;
  if (waitsAnew) return `${added}\n${orderText(order, url, Date.now())}`;
  return order.status === before.status ? added : `${added}  now ${order.status}\n`;
}

async function fetchOrder(client: ApiClient, id: string): Promise<OrderView> {
  return orderSchema.parse((await client.get(`/v1/orders/${id}`)).body);
}
