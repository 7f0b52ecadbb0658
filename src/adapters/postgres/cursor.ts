import { type RawBuilder, sql } from 'kysely';
import { DomainFailure } from '../../domain/failures.ts';

/** What a cursor is made of: how each kind of value is told from something else, and what it is compared as. */
const kinds = {
  time: {
    is: (text: string) => /^[1-9]\d{3}-/.test(text) && new Date(text).toISOString() === text,
    type: sql`timestamptz(3)`,
  },
  integer: { is: (text: string) => /^\d{1,15}$/.test(text), type: sql`bigint` },
  text: { is: (text: string) => !text.includes('\0'), type: sql`text` },
} as const;

type KeyColumn = readonly [column: string, kind: keyof typeof kinds];

/** A list's order, and its place behind the last row of a page: by value, so that new rows move nobody's page. */
interface Keyset {
  readonly orderBy: RawBuilder<unknown>;
  /** Holds for the rows behind the cursor. Throws `invalid_input` if it is none of ours. */
  after(cursor: string): RawBuilder<boolean>;
  /** Of `limit + 1` rows: one more than asked for tells whether there is another page. */
  page<Row, T>(
    rows: readonly Row[],
    limit: number,
    keyOf: (row: Row) => readonly (Date | number | string)[],
    show: (row: Row) => T,
  ): { readonly data: readonly T[]; readonly nextCursor: string | null };
}

/** `columns` tell any two rows apart. */
export function keyset(direction: 'oldest' | 'newest', columns: readonly KeyColumn[]): Keyset {
  const [sign, word] = direction === 'oldest' ? [sql`>`, sql`asc`] : [sql`<`, sql`desc`];
  const names = columns.map(([column]) => sql.ref(column));
  return {
    orderBy: sql.join(names.map((name) => sql`${name} ${word}`)),
    after: (cursor) => {
      const key = readCursor(cursor, columns);
      const values = columns.map(([, kind], index) => sql`${key[index]}::${kinds[kind].type}`);
      return sql<boolean>`(${sql.join(names)}) ${sign} (${sql.join(values)})`;
    },
    page: (rows, limit, keyOf, show) => {
      const shown = rows.slice(0, limit);
      const last = shown.at(-1);
      const nextCursor = rows.length > shown.length && last !== undefined ? writeCursor(keyOf(last)) : null;
      return { data: shown.map(show), nextCursor };
    },
  };
}

function writeCursor(key: readonly (Date | number | string)[]): string {
  const texts = key.map((value) => (value instanceof Date ? value.toISOString() : String(value)));
  return Buffer.from(JSON.stringify(texts)).toString('base64url');
}

function readCursor(cursor: string, columns: readonly KeyColumn[]): readonly string[] {
  try {
    const read: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (Array.isArray(read) && read.length === columns.length) {
      const values = read as unknown[];
      const key = values.filter((value) => typeof value === 'string');
      const isWhole = columns.every(([, kind], index) => kinds[kind].is(key[index] ?? '\0'));
      if (isWhole && writeCursor(key) === cursor) return key;
    }
  } catch {
    // Not ours: said below, whatever it was.
  }
  throw new DomainFailure(
    'invalid_input',
    `cursor '${cursor}' is none of ours. Take nextCursor from a page as it is.`,
    {
      errors: [{ pointer: '/cursor', detail: 'Take nextCursor from the page before as it is, or leave it out.' }],
    },
  );
}

/** `where` and all conditions, or nothing where there is none. */
export function whereAll(conditions: readonly RawBuilder<unknown>[]): RawBuilder<unknown> {
  return conditions.length === 0 ? sql`` : sql`where ${sql.join(conditions, sql` and `)}`;
}
