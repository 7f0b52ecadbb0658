import type { OrderFile } from './open-file.ts';
import { isOrderNumber, type OrderSource, type Reason, type SourceItem, type SourceLine } from './source.ts';

/** The API takes bodies of 1 MiB; a longer line is not kept in memory to find that out. */
const MAX_LINE_CHARACTERS = 1024 * 1024;

/** A file of one JSON object a line: the body of `POST /v1/orders` with an `orderNumber` beside it. */
export async function openNdjson(file: OrderFile, limit: number | undefined): Promise<OrderSource> {
  let orders = 0;
  for await (const item of ndjsonItems(file, limit)) if (item.kind === 'order') orders += 1;
  return { orders, items: () => ndjsonItems(file, limit) };
}

async function* ndjsonItems(file: OrderFile, limit = Number.POSITIVE_INFINITY): AsyncGenerator<SourceItem> {
  let orders = 0;
  for await (const line of textLines(file)) {
    if (orders >= limit) return;
    if (line.content.trim() === '') continue;
    const item = itemOf(line);
    if (item.kind === 'order') orders += 1;
    yield item;
  }
}

function itemOf(line: SourceLine): SourceItem {
  const refuse = (label: string, detail?: string): SourceItem => {
    const reason: Reason = { label, ...(detail === undefined ? {} : { detail }) };
    return { kind: 'refused_line', orderNumber: '', line, reason };
  };
  if (line.content.length > MAX_LINE_CHARACTERS) return refuse('the line is longer than the API takes');
  let parsed: unknown;
  try {
    parsed = JSON.parse(line.content);
  } catch (error) {
    return refuse('the line is no JSON', error instanceof Error ? error.message : undefined);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    return refuse('the line is no JSON object');
  const { orderNumber, ...body } = parsed as Record<string, unknown>;
  if (orderNumber === undefined) return refuse('orderNumber is missing');
  if (typeof orderNumber !== 'string' || !isOrderNumber(orderNumber)) {
    return refuse(
      'orderNumber is no text of 1 to 250 printable ASCII characters',
      JSON.stringify(orderNumber).slice(0, 80),
    );
  }
  return { kind: 'order', orderNumber, body, lines: [line], repricedLines: 0 };
}

/** The lines of a UTF-8 file, however long it is; of a line beyond the limit only so much as shows that it is one. */
async function* textLines(file: OrderFile): AsyncGenerator<SourceLine> {
  const decoder = new TextDecoder();
  let line = 1;
  let rest = '';
  for await (const chunk of (await file.read()) as AsyncIterable<Buffer>) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = (parts.pop() ?? '').slice(0, MAX_LINE_CHARACTERS + 1);
    for (const part of parts) {
      yield { line, content: part.replace(/\r$/, '') };
      line += 1;
    }
  }
  if (rest !== '') yield { line, content: rest };
}
