import { randomUUID } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import type { AuditEntry, AuditFilter, AuditLog, AuditRecord } from '../../domain/access-ports.ts';
import { keyset, whereAll } from './cursor.ts';
import type { Database, Queries } from './database.ts';
import type { Tables } from './schema.ts';

const newest = keyset('newest', [
  ['at', 'time'],
  ['id', 'text'],
]);

export function postgresAuditLog(db: Database): AuditLog {
  return {
    write: (entry) => db.read((queries) => insertAudit(queries, entry)),
    list: async (filter) => {
      const rows = await db.read((queries) => read(queries, filter));
      return newest.page(rows, filter.limit, (row) => [row.at, row.id], viewOf);
    },
  };
}

/** One statement: by itself it is committed at once, and in the transaction of what is done it is so with that. */
export async function insertAudit(queries: Queries, { traceId, roles, ...entry }: AuditEntry): Promise<string> {
  const id = randomUUID();
  const values = { id, ...entry, roles: [...roles], trace_id: traceId };
  await queries.insertInto('audit_log').values(values).execute();
  return id;
}

async function read(queries: Queries, { limit, cursor, since, until, ...wanted }: AuditFilter) {
  const conditions = Object.entries(wanted).flatMap(([column, value]) =>
    value === undefined ? [] : [sql`${sql.ref(column)} = ${value}`],
  );
  if (since !== undefined) conditions.push(sql`at >= ${since}::timestamptz`);
  if (until !== undefined) conditions.push(sql`at < ${until}::timestamptz`);
  if (cursor !== undefined) conditions.push(sql`${newest.after(cursor)}`);
  const { rows } = await sql<Selectable<Tables['audit_log']>>`
    select * from audit_log ${whereAll(conditions)} order by ${newest.orderBy} limit ${limit + 1}`.execute(queries);
  return rows;
}

function viewOf({ trace_id: traceId, at, ...row }: Selectable<Tables['audit_log']>): AuditRecord {
  return { ...row, at: at.toISOString(), traceId };
}
