import { basename, extname } from 'node:path';
import { currencyExponent } from '../../domain/money.ts';
import { type CommandIo, UsageError } from '../command.ts';
import { apiUrl, onlyWord, parseWords, wholeNumber } from '../words.ts';

export const submitHelp = `usage: evenkeel submit FILE [options]

Submits the orders of a file through the API. Running it again, or after an interruption, submits nothing twice: the
idempotency key of an order is its own number in the file.

  --format csv|ndjson   what FILE is; by its ending (.csv, .ndjson, .jsonl) if left out
  --catalog             first put the file's articles into the catalogue, and stock for them (CSV)
  --stock N             pieces of each such article; the sum of its quantities in the file if left out
  --currency CODE       currency of the file's prices (CSV; GBP)
  --payment-token T     what the orders are paid with (CSV; tok_visa)
  --limit N             only the first N orders of the file
  --concurrency N       orders on their way to the API at a time, 1 to 256 (16)
  --rate N              at most N orders a second, 1 to 10000 (as fast as they are accepted)
  --wait                wait until every order is at its end or waits for a person, and say what became of them
  --report FILE         where to list the lines that are in no accepted order (NAME.refused.csv, here)
  --url URL             where the API is (from EVENKEEL_HTTP_HOST and EVENKEEL_HTTP_PORT)
  --json                print the summary as JSON

Exit code 0 if every usable order was accepted, now or before (with --wait: and all were seen to their end), else 1.

NDJSON: one object a line, the body of POST /v1/orders and beside it "orderNumber", a text.

CSV: the columns InvoiceNo,StockCode,Description,Quantity,UnitPrice,CustomerID,Country. An order is all lines with one
InvoiceNo, wherever they stand. The file is read twice, a line at a time: memory grows with the number of orders and
articles, not with that of lines.
 - A line is refused, and the rest of its order submitted, where it is part of a credit note (InvoiceNo begins with C),
   its quantity is no whole number above zero, its price is no amount above zero, its StockCode is missing or not in the
   catalogue, or it has too few or too many fields.
 - An order is refused where no line of it is left, its lines name several customers or countries, or its country is
   not known here.
 - An order's total comes from the catalogue. --catalog takes the first price above zero that the file has for an
   article, and leaves alone what the catalogue and the stock have already.
 - An order without CustomerID is that of a guest, guest-<InvoiceNo>. The address holds the country and says of the rest
   that it is not in the file.
`;

export interface SubmitOptions {
  readonly file: string;
  readonly format: 'csv' | 'ndjson';
  readonly catalog: boolean;
  readonly stock: number | undefined;
  readonly currency: string;
  readonly paymentToken: string;
  readonly limit: number | undefined;
  readonly concurrency: number;
  /** Orders a second at most; undefined: no limit. */
  readonly rate: number | undefined;
  readonly wait: boolean;
  readonly report: string;
  readonly url: URL;
  readonly json: boolean;
}

/** Reads the words behind `evenkeel submit`; undefined if they ask for help. Throws `UsageError`. */
export function readOptions(args: readonly string[], io: CommandIo): SubmitOptions | undefined {
  const { values, positionals } = parseWords(args, {
    help: { type: 'boolean', short: 'h' },
    format: { type: 'string' },
    catalog: { type: 'boolean' },
    stock: { type: 'string' },
    currency: { type: 'string' },
    'payment-token': { type: 'string' },
    limit: { type: 'string' },
    concurrency: { type: 'string' },
    rate: { type: 'string' },
    wait: { type: 'boolean' },
    report: { type: 'string' },
    url: { type: 'string' },
    json: { type: 'boolean' },
  });
  if (values.help === true) return undefined;
  const file = onlyWord(positionals, 'FILE');
  const format = formatOf(file, values.format);
  if (format === 'ndjson') {
    for (const name of ['catalog', 'stock', 'currency', 'payment-token'] as const) {
      if (values[name] !== undefined) throw new UsageError(`--${name} is for CSV files; an NDJSON file says it itself`);
    }
  }
  if (values.stock !== undefined && values.catalog !== true) throw new UsageError('--stock goes with --catalog');
  const currency = values.currency ?? 'GBP';
  if (currencyExponent(currency) === undefined) {
    throw new UsageError(`--currency takes an ISO 4217 code such as GBP, not '${currency}'`);
  }
  return {
    file,
    format,
    catalog: values.catalog ?? false,
    stock: values.stock === undefined ? undefined : wholeNumber('stock', values.stock, 0, 1_000_000_000),
    currency,
    paymentToken: values['payment-token'] ?? 'tok_visa',
    limit: values.limit === undefined ? undefined : wholeNumber('limit', values.limit, 1, Number.MAX_SAFE_INTEGER),
    concurrency: wholeNumber('concurrency', values.concurrency ?? '16', 1, 256),
    rate: values.rate === undefined ? undefined : wholeNumber('rate', values.rate, 1, 10_000),
    wait: values.wait ?? false,
    report: values.report ?? `${basename(file)}.refused.csv`,
    url: apiUrl(values.url, io),
    json: values.json ?? false,
  };
}

function formatOf(file: string, given: string | undefined): 'csv' | 'ndjson' {
  const named = given ?? { '.csv': 'csv', '.ndjson': 'ndjson', '.jsonl': 'ndjson' }[extname(file).toLowerCase()];
  if (named === 'csv' || named === 'ndjson') return named;
  if (given !== undefined) throw new UsageError(`--format takes csv or ndjson, not '${given}'`);
  throw new UsageError(`the name '${file}' does not say what is in it: add --format csv or --format ndjson`);
}
