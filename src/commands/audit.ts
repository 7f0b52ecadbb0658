import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { readClock, withAuditRecords } from '../adapters/postgres/audit-records.ts';
import { connect, type Database } from '../adapters/postgres/database.ts';
import { type AuditCounts, auditEvents } from '../audit/events.ts';
import { Receipts } from '../audit/receipts.ts';
import type { Finding, ReceiptRecord } from '../audit/records.ts';
import { ConfigError, readConfig } from '../config.ts';
import { type CommandIo, type Run, UsageError } from './command.ts';
import { onlyWord, parseWords } from './words.ts';

const HELP = `usage: evenkeel audit events [--receipts URL|FILE --consumer ID] [--json]

Compares what PostgreSQL (DATABASE_URL) has of every order: its changes with its events, these with the deliveries that
they were meant to have, and these with what came of them. Names each that is missing or one too many.

  --receipts URL|FILE   compare with what a consumer has too: one JSON object a line with eventId, subject, sequence and
                        late, in the order of arrival, as examples/consumer lists it at /receipts. A URL may be
                        of a consumer at work; a FILE is taken to have all that was delivered
  --consumer ID         whose receipts these are
  --json                one JSON object a line: each finding, then the counts

Exit code: 0 nothing found, 1 something found, 2 bad usage.
`;

/** `evenkeel audit events`. */
export const run: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, {
    receipts: { type: 'string' },
    consumer: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  });
  if (values.help) {
    io.stdout.write(HELP);
    return 0;
  }
  const subject = onlyWord(positionals, 'what to audit: events');
  if (subject !== 'events') throw new UsageError(`'${subject}' cannot be audited; 'events' can`);
  const { DATABASE_URL: databaseUrl } = readConfig(io.env);
  if (databaseUrl === undefined) {
    throw new ConfigError("set DATABASE_URL to the database to audit; 'evenkeel start' prints that of its own.");
  }
  let found = 0;
  const report = (finding: Finding): void => {
    found += 1;
    io.stdout.write(values.json ? `${JSON.stringify({ finding })}\n` : `${inWords(finding)}\n`);
  };
  const db = connect(databaseUrl, { pool: 1 });
  try {
    const receipts = await receiptsOf({ place: values.receipts, consumerId: values.consumer }, io, db);
    const counts = await withAuditRecords(db, (records) => auditEvents(records, receipts, report));
    io.stdout.write(values.json ? `${JSON.stringify({ ...counts, findings: found })}\n` : summary(counts, found));
  } finally {
    await db.destroy();
  }
  return found === 0 ? 0 : 1;
};

function inWords({ check, orderId, record, problem }: Finding): string {
  return `${check}: order ${orderId}, ${record === orderId ? '' : `${record}: `}${problem}`;
}

function summary({ orders, events, consumers, deliveries, receipts }: AuditCounts, found: number): string {
  const total = Object.values(deliveries).reduce((sum, count) => sum + count, 0);
  const byStatus = Object.entries(deliveries)
    .toSorted(([one], [other]) => one.localeCompare(other))
    .map(([status, count]) => `${count} ${status}`);
  const compared = receipts === null ? '' : `, ${receipts} receipts`;
  return [
    `${orders} orders, ${events} events, ${consumers} consumers, ${total} deliveries${compared}`,
    ...(byStatus.length === 0 ? [] : [`deliveries: ${byStatus.join(', ')}`]),
    found === 0 ? 'nothing is missing, nothing is one too many' : `${found} findings`,
    '',
  ].join('\n');
}

const receiptSchema = z.object({
  eventId: z.string(),
  subject: z.string(),
  sequence: z.number(),
  // SQLite knows no booleans.
  late: z.union([z.boolean(), z.literal(0).transform(() => false), z.literal(1).transform(() => true)]),
});

async function receiptsOf(
  { place, consumerId }: { readonly place: string | undefined; readonly consumerId: string | undefined },
  io: CommandIo,
  db: Database,
): Promise<Receipts | undefined> {
  if (place === undefined && consumerId === undefined) return undefined;
  if (place === undefined || consumerId === undefined) {
    throw new UsageError('--receipts and --consumer go together: whose receipts, and where they are');
  }
  const isLive = /^https?:/.test(place);
  const askedAt = isLive ? await readClock(db) : undefined;
  const text = isLive ? await fetched(place, io) : await readFile(place, 'utf8');
  const receipts = text.split('\n').flatMap((line, index): ReceiptRecord[] => {
    if (line.trim() === '') return [];
    const parsed = receiptSchema.safeParse(json(line));
    if (parsed.success) return [parsed.data];
    throw new UsageError(`line ${index + 1} of ${place} is no receipt: ${line.slice(0, 100)}`);
  });
  return new Receipts(consumerId, receipts, askedAt);
}

async function fetched(url: string, { signal }: CommandIo): Promise<string> {
  const response = await fetch(url, { signal });
  if (!response.ok) throw new UsageError(`${url} answered ${response.status}`);
  return response.text();
}

function json(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
