import { z } from 'zod';
import { deadLetter, deadLetterGroup } from '../../api/delivery-schemas.ts';
import { deadLetterGroupings, type DeadLetterGrouping } from '../../domain/consumer-ports.ts';
import type { ApiClient } from '../api-client.ts';
import { type CommandIo, type Run, UsageError } from '../command.ts';
import { allConsumers } from '../consumers/find.ts';
import { age, fitted, printable, table } from '../format.ts';
import { jsonPrinter, pagesOf, type Printer } from '../listing.ts';
import { shortType } from '../order-text.ts';
import { withApi } from '../verbs.ts';
import { apiUrl, parseWords, wholeNumber } from '../words.ts';
import { filterOptions, queryOf, readFilter } from './filter.ts';
import { groupsText } from './groups.ts';

type Letter = z.output<typeof deadLetter>;

const grouped = z.object({ groups: z.array(deadLetterGroup) });

/** `evenkeel dead-letters [list]` */
export const list: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, {
    ...filterOptions,
    'group-by': { type: 'string' },
    limit: { type: 'string' },
    all: { type: 'boolean' },
    url: { type: 'string' },
    json: { type: 'boolean' },
  });
  if (positionals[0] !== undefined) throw new UsageError(`'${positionals[0]}' is one word too many`);
  const wanted = readFilter(values);
  const json = values.json ?? false;
  const by = groupingOf(values['group-by']);
  if (by !== undefined && (values.limit !== undefined || values.all === true)) {
    throw new UsageError('--group-by shows all groups: leave out --limit and --all');
  }
  if (values.all === true && values.limit !== undefined) throw new UsageError('--all and --limit exclude each other');
  const limit =
    values.all === true
      ? Number.POSITIVE_INFINITY
      : wholeNumber('limit', values.limit ?? '20', 1, Number.MAX_SAFE_INTEGER);
  return withApi(apiUrl(values.url, io), io, async ({ client }) => {
    const query = await queryOf(client, wanted);
    if (by !== undefined) {
      io.stdout.write(await groupedText(client, query, by, { json, out: io.stdout }));
      return 0;
    }
    const print = json ? jsonPrinter(io.stdout) : tablePrinter(io.stdout, Date.now());
    for await (const { data, more } of pagesOf(client, { path: '/v1/dead-letters', query, of: deadLetter, limit })) {
      print.page(data, more);
    }
    print.end();
    return 0;
  });
};

function groupingOf(word: string | undefined): DeadLetterGrouping | undefined {
  const by = deadLetterGroupings.find((known) => known === word);
  if (word === undefined || by !== undefined) return by;
  throw new UsageError(`--group-by takes one of ${deadLetterGroupings.join(', ')}, not '${word}'`);
}

async function groupedText(
  client: ApiClient,
  query: Readonly<Record<string, string>>,
  by: DeadLetterGrouping,
  { json, out }: { readonly json: boolean; readonly out: CommandIo['stdout'] },
): Promise<string> {
  const asked = new URLSearchParams({ ...query, groupBy: by }).toString();
  const { groups } = grouped.parse((await client.get(`/v1/dead-letters?${asked}`)).body);
  if (json) return `${JSON.stringify(groups, null, 2)}\n`;
  if (groups.length === 0) return 'no such dead letters\n';
  const consumers = by === 'consumer' ? await allConsumers(client) : [];
  const names = new Map(consumers.map(({ id, name }) => [id, name]));
  return fitted(groupsText(by, groups, names, Date.now()), out);
}

function tablePrinter(out: CommandIo['stdout'], nowMs: number): Printer<Letter> {
  let shown = 0;
  let beyond = false;
  return {
    page(letters, more) {
      const head = shown === 0 ? [['ID', 'ORDER', 'TYPE', 'CONSUMER', 'CAUSE', 'TRIES', 'DEAD FOR', 'LAST ERROR']] : [];
      const rows = letters.map((letter) => row(letter, nowMs));
      if (letters.length > 0) out.write(fitted(table([...head, ...rows], [0, 5]), out));
      shown += letters.length;
      beyond = more;
    },
    end() {
      if (shown === 0) out.write('no such dead letters\n');
      else if (beyond) out.write('there are more: --limit N, --all or --group-by cause\n');
    },
  };
}

function row(letter: Letter, nowMs: number): readonly string[] {
  return [
    letter.id,
    letter.orderId,
    shortType(letter.type),
    printable(letter.consumerName).slice(0, 24),
    letter.cause,
    String(letter.attempts),
    age(letter.deadSince, nowMs),
    printable(letter.lastError ?? ''),
  ];
}
