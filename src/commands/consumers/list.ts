import { forEachBounded } from '../../bounded.ts';
import { type ApiClient, ApiRefusal } from '../api-client.ts';
import { type Run, UsageError } from '../command.ts';
import { fitted, printable, table } from '../format.ts';
import { jsonPrinter } from '../listing.ts';
import { duration } from '../submit/progress.ts';
import { withApi } from '../verbs.ts';
import { apiUrl, parseWords } from '../words.ts';
import { allConsumers, type ConsumerDetails, consumerDetailsOf } from './find.ts';

const CONCURRENCY = 4;

/** `evenkeel consumers [list]` */
export const list: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, { url: { type: 'string' }, json: { type: 'boolean' } });
  if (positionals[0] !== undefined) throw new UsageError(`'${positionals[0]}' is one word too many`);
  return withApi(apiUrl(values.url, io), io, async ({ client }) => {
    const consumers = await withHealth(client, io.signal);
    if (values.json === true) {
      const printer = jsonPrinter(io.stdout);
      printer.page(consumers, false);
      printer.end();
    } else if (consumers.length === 0) {
      io.stdout.write("no consumers; 'evenkeel consumers add' makes one\n");
    } else {
      const head = ['ID', 'NAME', 'STATE', 'MODE', 'BACKLOG', 'LAG', 'DEAD LETTERS', 'WHY'];
      io.stdout.write(fitted(table([head, ...consumers.map(row)], [4, 5, 6]), io.stdout));
    }
    return 0;
  });
};

/** Its health is not in a list, so each is asked for; what is deleted meanwhile is left out. */
async function withHealth(client: ApiClient, signal: AbortSignal): Promise<readonly ConsumerDetails[]> {
  const ids = (await allConsumers(client)).map(({ id }) => id);
  const found = new Map<string, ConsumerDetails>();
  await forEachBounded(ids, { concurrency: CONCURRENCY, signal }, async (id) => {
    try {
      found.set(id, await consumerDetailsOf(client, id));
    } catch (error) {
      if (!(error instanceof ApiRefusal && error.code === 'not_found')) throw error;
    }
  });
  return ids.flatMap((id) => found.get(id) ?? []);
}

function row({ id, name, state, stateReason, health }: ConsumerDetails): readonly string[] {
  return [
    id,
    printable(name).slice(0, 24),
    state,
    health.mode,
    String(health.backlog),
    health.backlog === 0 ? '' : duration(health.lagSeconds * 1_000),
    String(health.deadLetters),
    printable(stateReason ?? health.trouble?.reason ?? ''),
  ];
}
