import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import { type ApiClient, ApiRefusal, ApiUnavailable, Interrupted } from '../api-client.ts';
import { forEachBounded } from '../../bounded.ts';
import type { Report } from './report.ts';
import { keyOf, type OrderSource, type SourceItem } from './source.ts';
import type { Tally } from './tally.ts';

const accepted = z.object({ id: z.string() });

interface SendOptions {
  readonly client: ApiClient;
  readonly concurrency: number;
  /** Orders a second at most; undefined: no limit. */
  readonly rate: number | undefined;
  readonly report: Report;
  readonly tally: Tally;
  readonly signal: AbortSignal;
}

/**
 * Submits what the source holds, each order under its own key, and puts every line that is in no accepted order into
 * the report. Returns why it stopped before the end: the API is away, or somebody asked; undefined if it did not.
 */
export async function sendAll(source: OrderSource, options: SendOptions): Promise<string | undefined> {
  const { concurrency, rate, signal } = options;
  const items = rate === undefined ? source.items() : paced(source.items(), rate, signal);
  try {
    await forEachBounded(items, { concurrency, signal }, (item) => sendOne(item, options));
  } catch (error) {
    if (error instanceof ApiUnavailable) return error.message;
    if (!(error instanceof Interrupted)) throw error;
  }
  return signal.aborted ? 'interrupted' : undefined;
}

/** Hands the orders on evenly spaced, at most `rate` a second; what is no order passes at once. */
async function* paced(
  items: AsyncIterable<SourceItem>,
  rate: number,
  signal: AbortSignal,
): AsyncGenerator<SourceItem, void> {
  let next = performance.now();
  for await (const item of items) {
    if (item.kind === 'order') {
      const now = performance.now();
      // Aborted: the loop that takes the items ends by itself.
      if (next > now) await setTimeout(next - now, undefined, { signal }).catch(() => undefined);
      // A pause on their side is not made up for by a burst.
      next = Math.max(next, now) + 1000 / rate;
    }
    yield item;
  }
}

async function sendOne(item: SourceItem, { client, report, tally }: SendOptions): Promise<void> {
  const { orderNumber } = item;
  if (item.kind === 'refused_line') {
    tally.refuseLine(item.line.line, item.reason);
    await report.add([item.line], orderNumber, item.reason);
    return;
  }
  if (item.kind === 'refused_order') {
    tally.refuseOrder(orderNumber, item.reason);
    tally.refusedLines += item.lines.length;
    await report.add(item.lines, orderNumber, prefixed('order refused', item.reason.label, item.reason.detail));
    return;
  }
  try {
    const answer = await client.post('/v1/orders', item.body, keyOf(orderNumber));
    tally.accept(accepted.parse(answer.body).id, answer.headers['idempotent-replayed'] === 'true');
    tally.submittedLines += item.lines.length;
    tally.repricedLines += item.repricedLines;
  } catch (error) {
    if (!(error instanceof ApiRefusal)) throw error;
    tally.refuseByApi(orderNumber, error);
    tally.refusedLines += item.lines.length;
    const reason = prefixed('order refused by the API', `${error.status} ${error.code}`, error.message);
    await report.add(item.lines, orderNumber, reason);
  }
}

const prefixed = (prefix: string, label: string, detail: string | undefined) => ({
  label: `${prefix}: ${label}`,
  ...(detail === undefined ? {} : { detail }),
});
