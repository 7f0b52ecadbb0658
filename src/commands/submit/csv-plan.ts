import { judge, readHeader } from './csv-lines.ts';
import { type CsvRecord, csvRecords } from './csv-records.ts';
import type { OrderFile } from './open-file.ts';

export interface PlannedItem {
  /** The first that is not empty. */
  description: string;
  /** The first price above zero. */
  readonly priceMinor: number;
  /** Of all usable lines together. */
  quantity: number;
}

/**
 * What the first reading of a file finds. It grows with the number of orders and articles and not with that of lines,
 * and lets the second reading hand out each order at its last line, wherever its lines stand.
 */
export interface CsvPlan {
  readonly orders: ReadonlyMap<string, PlannedOrder>;
  readonly items: ReadonlyMap<string, PlannedItem>;
  /** Orders with at least one usable line. */
  readonly usableOrders: number;
  /** Past this line, what is not of one of `orders` is beyond the limit. */
  readonly limitLine: number;
}

interface PlannedOrder {
  lastLine: number;
  usable: boolean;
}

export interface CsvOptions {
  readonly currency: string;
  /** Take only the first so many orders. */
  readonly limit: number | undefined;
}

export async function planCsv(file: OrderFile, { currency, limit }: CsvOptions): Promise<CsvPlan> {
  const orders = new Map<string, PlannedOrder>();
  const items = new Map<string, PlannedItem>();
  let limitLine = Number.POSITIVE_INFINITY;
  const { header, records } = await withHeader(file);
  for await (const record of records) {
    const judged = judge(header, record, currency);
    const orderNumber = judged.usable ? judged.line.orderNumber : judged.orderNumber;
    const known = orders.get(orderNumber);
    if (orderNumber === '' || (record.line > limitLine && !known)) continue;
    const order = known ?? { lastLine: 0, usable: false };
    orders.set(orderNumber, order);
    if (orders.size === limit) limitLine = Math.min(limitLine, record.line);
    order.lastLine = record.line;
    if (!judged.usable) continue;
    order.usable = true;
    addItem(items, judged.line);
  }
  const usableOrders = [...orders.values()].filter((order) => order.usable).length;
  return { orders, items, usableOrders, limitLine };
}

function addItem(
  items: Map<string, PlannedItem>,
  line: { readonly sku: string; readonly description: string; readonly priceMinor: number; readonly quantity: number },
): void {
  const item = items.get(line.sku);
  if (!item) {
    items.set(line.sku, { description: line.description, priceMinor: line.priceMinor, quantity: line.quantity });
    return;
  }
  item.quantity += line.quantity;
  if (item.description === '') item.description = line.description;
}

/** The file's header, and the records that follow it. */
export async function withHeader(file: OrderFile) {
  const records: AsyncGenerator<CsvRecord> = csvRecords(file);
  const first = await records.next();
  return { header: readHeader(first.done === true ? undefined : first.value), records };
}
