/** Marked words that stand for a person, and where they are found: in the clear, and in the ways that texts travel. */
import { randomBytes } from 'node:crypto';

/** A word that is nowhere else, with what URLs and JSON write differently. */
export function newMark(what: string): string {
  return `${what} Ö"${randomBytes(6).toString('hex')}`;
}

/** Of printable ASCII alone, as tokens and ids are. */
export function newPlainMark(what: string): string {
  return `${what}+${randomBytes(6).toString('hex')}/z`;
}

/** How many characters of base64 stand for bytes of the text alone, at each of the three places where it can begin. */
function base64Forms(text: string): string[] {
  const bytes = Buffer.from(text);
  return [0, 1, 2].map((before) => {
    const after = (3 - ((before + bytes.length) % 3)) % 3;
    const all = Buffer.concat([Buffer.alloc(before), bytes, Buffer.alloc(after)]).toString('base64');
    return all.slice(before === 0 ? 0 : before + 1, after === 0 ? undefined : -(after + 1));
  });
}

/** All the ways that a text is looked for in. */
export function formsOf(text: string): ReadonlySet<string> {
  const base64 = base64Forms(text);
  const json = JSON.stringify(text).slice(1, -1);
  return new Set([
    text,
    json,
    ...base64Forms(json),
    // JSON within JSON.
    JSON.stringify(json).slice(1, -1),
    encodeURI(text),
    encodeURIComponent(text),
    new URLSearchParams({ text }).toString().slice('text='.length),
    ...base64,
    ...base64.map((form) => form.replaceAll('+', '-').replaceAll('/', '_')),
    Buffer.from(text).toString('hex'),
    Buffer.from(text).toString('latin1'),
  ]);
}

/** Which of the marks stand in it, in whatever form. */
export function marksIn(marks: Readonly<Record<string, string>>, text: string): string[] {
  return Object.entries(marks).flatMap(([name, mark]) =>
    [...formsOf(mark)].some((form) => text.includes(form)) ? [name] : [],
  );
}

type Sql = <Row extends object>(text: string) => Promise<Row[]>;

/** `table.column` of all that a mark stands in. Reads every table of the schema. */
export async function markedColumns(marks: Readonly<Record<string, string>>, sql: Sql): Promise<string[]> {
  const found = new Set<string>();
  for (const table of await tablesOf(sql)) {
    const rows = await sql<{ row: Readonly<Record<string, unknown>> }>(`select to_jsonb(t) as row from "${table}" t`);
    for (const { row } of rows) {
      for (const [column, value] of Object.entries(row)) {
        const text = typeof value === 'string' ? value : JSON.stringify(value);
        if (marksIn(marks, text).length > 0) found.add(`${table}.${column}`);
      }
    }
  }
  return [...found].toSorted();
}

export async function tablesOf(sql: Sql): Promise<string[]> {
  const rows = await sql<{ name: string }>(
    `select table_name as name from information_schema.tables
     where table_schema = current_schema() and table_type = 'BASE TABLE' order by 1`,
  );
  return rows.map(({ name }) => name);
}
