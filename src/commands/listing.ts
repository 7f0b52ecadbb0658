import { z } from 'zod';
import type { ApiClient } from './api-client.ts';

/** The API gives at most 200 at a time; a page is printed before the next is asked for. */
const PAGE = 100;

interface Listed<T> {
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly of: z.ZodType<T>;
  /** So many at most, over all pages. */
  readonly limit?: number;
}

/** The pages of a list of the API; `more` says whether there are others beyond those that `limit` lets through. */
export async function* pagesOf<T>(
  client: Pick<ApiClient, 'get'>,
  { path, query = {}, of, limit = Number.POSITIVE_INFINITY }: Listed<T>,
) {
  const page = z.object({ data: z.array(of), nextCursor: z.string().nullable() });
  let left = limit;
  let cursor: string | null = null;
  do {
    const asked = new URLSearchParams({ ...query, limit: String(Math.min(PAGE, left)) });
    if (cursor !== null) asked.set('cursor', cursor);
    const { data, nextCursor } = page.parse((await client.get(`${path}?${asked.toString()}`)).body);
    left -= data.length;
    cursor = nextCursor;
    yield { data, more: cursor !== null };
  } while (cursor !== null && left > 0);
}

export interface Printer<T> {
  page(rows: readonly T[], more: boolean): void;
  end(): void;
}

/** One JSON array over all pages. */
export function jsonPrinter(out: NodeJS.WritableStream): Printer<unknown> {
  let separator = '[';
  return {
    page(rows) {
      for (const row of rows) {
        out.write(`${separator}${JSON.stringify(row)}`);
        separator = ',\n ';
      }
    },
    end: () => out.write(separator === '[' ? '[]\n' : ']\n'),
  };
}
