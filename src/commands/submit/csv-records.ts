import { pipeline } from 'node:stream';
import { type CsvError, parse } from 'csv-parse';
import type { OrderFile } from './open-file.ts';
import { FileProblem } from './source.ts';

export interface CsvRecord {
  /** The line of the file that the record begins on; the first is 1. */
  readonly line: number;
  readonly fields: readonly string[];
  /** The record as it stands in the file, without its line break. */
  readonly content: string;
}

/** Far beyond any order line; a quotation mark that nobody closes would swallow the rest of the file. */
const MAX_RECORD_CHARACTERS = 256 * 1024;

/**
 * The records of an RFC 4180 file, one at a time: quotes, doubled quotes and line breaks in quotes, any line ending,
 * with or without a byte order mark. A quotation mark inside an unquoted field stands for itself. Blank lines are
 * passed over. Throws `FileProblem` with the line of a quotation mark that is never closed.
 */
export async function* csvRecords(file: OrderFile): AsyncGenerator<CsvRecord> {
  // The parser's own count takes a CRLF inside quotes for two lines.
  let line = 1;
  try {
    for await (const { record, raw } of parsed(file)) {
      const content = raw.replace(/\r\n$|[\r\n]$/, '');
      if (content.trim() !== '') yield { line, fields: record, content };
      line += lineBreaks(raw);
    }
  } catch (error) {
    throw isCsvError(error) ? new FileProblem(await explain(file, error), { cause: error }) : error;
  }
}

/** `to`: the last record to read, counted from 1. */
async function* parsed(
  file: OrderFile,
  to?: number,
): AsyncGenerator<{ readonly record: string[]; readonly raw: string }> {
  const parser = parse({
    bom: true,
    raw: true,
    relax_quotes: true,
    relax_column_count: true,
    record_delimiter: ['\r\n', '\n', '\r'],
    max_record_size: MAX_RECORD_CHARACTERS,
    ...(to === undefined ? {} : { to }),
  });
  // Its errors come out of the parser, where they are waited for.
  pipeline(await file.read(), parser, () => {});
  yield* parser;
}

/** A stream that fails drops what was waiting in it, so the good records are read again to know where the bad one is. */
async function explain(file: OrderFile, error: CsvError): Promise<string> {
  const before = Number(error['records']);
  let line = 1;
  if (before > 0) for await (const { raw } of parsed(file, before)) line += lineBreaks(raw);
  if (error.code === 'CSV_QUOTE_NOT_CLOSED' || error.code === 'CSV_MAX_RECORD_SIZE') {
    return `line ${line}: a quotation mark opens there and is not closed; close it, or double it if it is meant as such`;
  }
  return `line ${line}: ${error.message}`;
}

function lineBreaks(text: string): number {
  return (text.match(/\r\n|\r|\n/g) ?? []).length;
}

function isCsvError(error: unknown): error is CsvError {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('CSV_');
}
