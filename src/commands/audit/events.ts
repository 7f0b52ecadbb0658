import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { readClock, withAuditRecords } from '../../adapters/postgres/audit-records.ts';
import type { Database } from '../../adapters/postgres/database.ts';
import { type AuditCounts, auditEvents } from '../../audit/events.ts';
import { Receipts } from '../../audit/receipts.ts';
import type { Finding, ReceiptRecord } from '../../audit/records.ts';
import { type CommandIo, UsageError } from '../command.ts';

export interface EventsOptions {
  readonly json: boolean;
  readonly receipts: string | undefined;
  readonly consumer: string | undefined;
}

/** Prints what the records of events say of each other, and resolves with how many findings there are. */
export async function compareEvents(db: Database, options: EventsOptions, io: CommandIo): Promise<number> {
  let found = 0;
  const report = (finding: Finding): void => {
    found += 1;
    io.stdout.write(options.json ? `${JSON.stringify({ finding })}\n` : `${inWords(finding)}\n`);
  };
  const receipts = await receiptsOf({ place: options.receipts, consumerId: options.consumer }, io, db);
  const counts = await withAuditRecords(db, (records) => auditEvents(records, receipts, report));
  io.stdout.write(options.json ? `${JSON.stringify({ ...counts, findings: found })}\n` : summary(counts, found));
  return found;
}

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
