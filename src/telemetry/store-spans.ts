import type { StoreObserver } from '../adapters/postgres/database.ts';
import type { Tracing } from './spans.ts';

interface Summary {
  /** `INSERT deliveries`. */
  readonly name: string;
  readonly operation: string;
  readonly table: string | undefined;
  readonly text: string;
}

/** Statements are written in the code, so there are few; those with lists differ by the length of these. */
const REMEMBERED = 1_000;
/** Of a statement's text: enough to tell which it is. */
const LONGEST_TEXT = 300;

/** A span for each SQL statement within a trace. Values are parameters and never part of it. */
export function storeSpans(tracing: Tracing): Required<Pick<StoreObserver, 'statement'>> {
  const known = new Map<string, Summary>();
  const summaryOf = (sql: string): Summary => {
    const found = known.get(sql);
    if (found) return found;
    if (known.size >= REMEMBERED) known.clear();
    const summary = summarize(sql);
    known.set(sql, summary);
    return summary;
  };
  return {
    statement({ sql, durationMs, failed }) {
      // Says nothing that the COMMIT or the first statement does not say.
      if (sql === 'begin') return;
      const { name, operation, table, text } = summaryOf(sql);
      tracing.past(name, durationMs, () => ({
        kind: 'client',
        attributes: {
          'db.system.name': 'postgresql',
          'db.operation.name': operation,
          'db.collection.name': table,
          'db.query.text': text,
        },
        errorType: failed ? '_OTHER' : undefined,
      }));
    },
  };
}

/** `for update of` locks and does not write. */
const writes = /(?<!\bfor (?:no key )?)\b(insert into|update|delete from)\s+"?(\w+)/i;
const reads = /\bfrom\s+"?(\w+)/i;

/** What a statement does, by its first write, else by what it reads. */
export function summarize(sql: string): Summary {
  const text = sql.replaceAll(/\s+/g, ' ').trim().slice(0, LONGEST_TEXT);
  const first = /^\w+/.exec(text)?.[0].toUpperCase() ?? '';
  // A common table expression may write.
  const [, verb, written] = (first === 'SELECT' ? null : writes.exec(text)) ?? [];
  const operation = verb?.split(' ')[0]?.toUpperCase() ?? (first === 'WITH' ? 'SELECT' : first);
  const table = written ?? reads.exec(text)?.[1];
  return { name: table === undefined ? operation : `${operation} ${table}`, operation, table, text };
}
