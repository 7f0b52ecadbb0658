import { parseMinor } from '../../domain/money.ts';
import type { CsvRecord } from './csv-records.ts';
import { FileProblem, isOrderNumber, type Reason } from './source.ts';

const columns = ['InvoiceNo', 'StockCode', 'Description', 'Quantity', 'UnitPrice', 'CustomerID', 'Country'] as const;
type Column = (typeof columns)[number];

/** Where each column stands, and how many there are. */
export interface Header {
  readonly at: Readonly<Record<Column, number>>;
  readonly width: number;
}

/** A line that can be a line of an order. Texts are trimmed; `customerId` and `country` may be empty. */
export interface CsvLine {
  readonly orderNumber: string;
  readonly sku: string;
  readonly description: string;
  readonly quantity: number;
  readonly priceMinor: number;
  readonly customerId: string;
  readonly country: string;
}

export type Judgement =
  | { readonly usable: true; readonly line: CsvLine }
  /** `orderNumber` is empty where the line does not say, or is a credit note and so no part of an order. */
  | { readonly usable: false; readonly written: string; readonly orderNumber: string; readonly reason: Reason };

/** Reads the first record. Columns may stand in any order, beside others. Throws `FileProblem` naming what is missing. */
export function readHeader(record: CsvRecord | undefined): Header {
  if (!record) throw new FileProblem(`the file is empty; its first line should be ${columns.join(',')}`);
  const names = record.fields.map((name) => name.trim());
  const missing = columns.filter((column) => names.indexOf(column) === -1);
  if (missing.length > 0) {
    const found = `${record.content.slice(0, 200)}${record.content.length > 200 ? '…' : ''}`;
    throw new FileProblem(`line ${record.line}: the header lacks ${missing.join(', ')}; it says: ${found}`);
  }
  const twice = columns.find((column) => names.indexOf(column) !== names.lastIndexOf(column));
  if (twice !== undefined) throw new FileProblem(`line ${record.line}: the header names ${twice} twice`);
  const at = Object.fromEntries(columns.map((column) => [column, names.indexOf(column)])) as Record<Column, number>;
  return { at, width: names.length };
}

/** Whether a record can be a line of an order priced in `currency`, and if not, the first thing against it. */
export function judge(header: Header, record: CsvRecord, currency: string): Judgement {
  const field = (column: Column): string => record.fields[header.at[column]]?.trim() ?? '';
  const written = field('InvoiceNo');
  const refuse = (label: string, detail?: string, orderNumber = written): Judgement => ({
    usable: false,
    written,
    orderNumber,
    reason: { label, ...(detail === undefined ? {} : { detail: short(detail) }) },
  });

  if (record.fields.length !== header.width) {
    return refuse(`the line does not have ${header.width} fields as the header has`, `${record.fields.length}`, '');
  }
  if (written === '') return refuse('InvoiceNo is missing', undefined, '');
  // The data set's own rule: an InvoiceNo that begins with C takes an earlier invoice back.
  if (/^c/i.test(written)) return refuse('it is part of a credit note, not of an order', undefined, '');
  if (!isOrderNumber(written)) {
    return refuse('InvoiceNo is not 1 to 250 printable ASCII characters', JSON.stringify(written), '');
  }
  const sku = field('StockCode');
  if (sku === '') return refuse('StockCode is missing');
  const quantity = Number(field('Quantity'));
  if (!/^[+-]?\d+$/.test(field('Quantity')) || !Number.isSafeInteger(quantity)) {
    return refuse('Quantity is no whole number', JSON.stringify(field('Quantity')));
  }
  if (quantity <= 0) return refuse('Quantity is not above zero', field('Quantity'));
  if (quantity > 1_000_000) return refuse('Quantity is above a million', field('Quantity'));
  const priceMinor = parseMinor(field('UnitPrice'), currency);
  if (priceMinor === undefined)
    return refuse(`UnitPrice is no amount in ${currency}`, JSON.stringify(field('UnitPrice')));
  if (priceMinor <= 0) return refuse('UnitPrice is not above zero', field('UnitPrice'));
  return {
    usable: true,
    line: {
      orderNumber: written,
      sku,
      description: field('Description'),
      quantity,
      priceMinor,
      customerId: field('CustomerID'),
      country: field('Country'),
    },
  };
}

const short = (text: string): string => (text.length > 80 ? `${text.slice(0, 80)}…` : text);
