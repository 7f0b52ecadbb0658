import { countryCode } from './countries.ts';
import { type CsvLine, judge } from './csv-lines.ts';
import { type CsvOptions, type CsvPlan, withHeader } from './csv-plan.ts';
import type { OrderFile } from './open-file.ts';
import type { Reason, SourceItem, SourceLine } from './source.ts';

/** What the catalogue says of an article: its price, or why it cannot be ordered. */
export type CatalogEntry = { readonly priceMinor: number } | { readonly unusable: Reason };

interface Context {
  readonly file: OrderFile;
  readonly plan: CsvPlan;
  readonly catalog: ReadonlyMap<string, CatalogEntry>;
  readonly paymentToken: string;
  readonly options: CsvOptions;
}

interface OpenOrder {
  readonly lines: (CsvLine & SourceLine)[];
  repricedLines: number;
}

/**
 * The file's orders, each at its last line, and on the way all that cannot be used. A defect refuses its line alone;
 * the whole order goes only if none of its lines is left, or if nobody can tell where it is to go.
 */
export async function* csvItems({ file, plan, catalog, paymentToken, options }: Context): AsyncGenerator<SourceItem> {
  const open = new Map<string, OpenOrder>();
  const { header, records } = await withHeader(file);
  for await (const record of records) {
    const { line, content } = record;
    const judged = judge(header, record, options.currency);
    const orderNumber = judged.usable ? judged.line.orderNumber : judged.orderNumber;
    const planned = plan.orders.get(orderNumber);
    if (line > plan.limitLine && !planned) continue;
    const refused = judged.usable ? notInCatalog(catalog.get(judged.line.sku)) : judged.reason;
    if (refused) {
      const written = judged.usable ? orderNumber : judged.written;
      yield { kind: 'refused_line', orderNumber: written, line: { line, content }, reason: refused };
    }
    if (!planned) continue;
    const order = open.get(orderNumber) ?? { lines: [], repricedLines: 0 };
    open.set(orderNumber, order);
    if (judged.usable && !refused) {
      order.lines.push({ ...judged.line, line, content });
      if (!hasPrice(catalog.get(judged.line.sku), judged.line.priceMinor)) order.repricedLines += 1;
    }
    if (line < planned.lastLine) continue;
    open.delete(orderNumber);
    yield finish(orderNumber, order, paymentToken, options.currency);
  }
}

function notInCatalog(entry: CatalogEntry | undefined): Reason | undefined {
  if (entry === undefined) return { label: 'StockCode is not in the catalogue' };
  return 'unusable' in entry ? entry.unusable : undefined;
}

function hasPrice(entry: CatalogEntry | undefined, priceMinor: number): boolean {
  return entry !== undefined && 'priceMinor' in entry && entry.priceMinor === priceMinor;
}

function finish(orderNumber: string, order: OpenOrder, paymentToken: string, currency: string): SourceItem {
  const { lines } = order;
  const refuse = (label: string, detail?: string): SourceItem => ({
    kind: 'refused_order',
    orderNumber,
    lines,
    reason: { label, ...(detail === undefined ? {} : { detail }) },
  });
  if (lines.length === 0) return refuse('none of its lines can be used');
  const customers = distinct(lines.map((line) => line.customerId));
  if (customers.length > 1) return refuse('its lines name several customers', customers.join(', '));
  const countries = distinct(lines.map((line) => line.country));
  if (countries.length > 1) return refuse('its lines name several countries', countries.join(', '));
  const country = countryCode(countries[0] ?? '');
  if (country === undefined) return refuse('its Country is not known', JSON.stringify(countries[0] ?? ''));
  const customerId = customers[0];
  return {
    kind: 'order',
    orderNumber,
    lines,
    repricedLines: order.repricedLines,
    body: {
      // A guest's id follows from the order's number, so that a repeat of the file says the same.
      customerId: customerId ?? `guest-${orderNumber}`,
      currency,
      items: lines.map(({ sku, quantity }) => ({ sku, quantity })),
      payment: { token: paymentToken },
      // The file knows the country alone; the rest says so to whoever reads it.
      shippingAddress: {
        name: customerId === undefined ? `Guest of order ${orderNumber}` : `Customer ${customerId}`,
        line1: 'Address not in the file',
        city: 'Not in the file',
        postalCode: '00000',
        country,
      },
    },
  };
}

function distinct(values: readonly string[]): string[] {
  return [...new Set(values)].filter((value) => value !== '');
}
