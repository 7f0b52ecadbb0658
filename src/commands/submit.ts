import { type ApiClient, createApiClient, Interrupted } from './api-client.ts';
import { apiKey } from './api-key.ts';
import type { CommandIo, Run } from './command.ts';
import { ensureCatalog, lookUpCatalog } from './submit/catalog.ts';
import { csvItems } from './submit/csv-orders.ts';
import { type CsvPlan, planCsv } from './submit/csv-plan.ts';
import { openNdjson } from './submit/ndjson-orders.ts';
import { openFile, type OrderFile } from './submit/open-file.ts';
import { readOptions, submitHelp, type SubmitOptions } from './submit/options.ts';
import { type ProgressState, showProgress } from './submit/progress.ts';
import { openReport, type Report } from './submit/report.ts';
import { sendAll } from './submit/send.ts';
import type { OrderSource } from './submit/source.ts';
import { succeeded, summarize, summaryText } from './submit/summary.ts';
import { Tally } from './submit/tally.ts';
import { waitForAll } from './submit/wait.ts';

/** An API that is being restarted, or that sheds load, is waited for; one that never answered is not. */
const PATIENCE_MS = 120_000;
const FIRST_PATIENCE_MS = 3_000;

/** The API takes descriptions of at most 500 characters, without line breaks. */
const MAX_DESCRIPTION = 500;

interface Work {
  readonly options: SubmitOptions;
  readonly io: CommandIo;
  readonly client: ApiClient;
  readonly report: Report;
  readonly startedAt: number;
  /** Why the API makes us wait, if it does. */
  readonly note: () => string | undefined;
}

/** `evenkeel submit FILE`: see `submitHelp`. */
export const run: Run = async (args, io) => {
  const options = readOptions(args, io);
  if (!options) {
    io.stdout.write(submitHelp);
    return 0;
  }
  const startedAt = Date.now();
  const file = await openFile(options.file);
  const retried = { at: 0, why: '' };
  const client = createApiClient({
    url: options.url,
    key: apiKey(options.url, io),
    signal: io.signal,
    connections: options.concurrency,
    patienceMs: PATIENCE_MS,
    onRetry: (why) => Object.assign(retried, { at: Date.now(), why }),
  });
  const note = () => (Date.now() - retried.at < 3_000 ? `(trying again: ${retried.why})` : undefined);
  try {
    await greet(options.url, io.signal);
    const report = await openReport(options.report);
    try {
      return await submit(file, { options, io, client, report, startedAt, note });
    } finally {
      await report.close();
    }
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    io.stderr.write('stopped before any order was submitted\n');
    return 1;
  } finally {
    await client.close();
  }
};

/** Whether anybody is there, before a long file is read. */
async function greet(url: URL, signal: AbortSignal): Promise<void> {
  const client = createApiClient({ url, signal, patienceMs: FIRST_PATIENCE_MS });
  try {
    await client.get('/livez');
  } finally {
    await client.close();
  }
}

async function submit(file: OrderFile, work: Work): Promise<number> {
  const { options, io, client, report, startedAt, note } = work;
  const { source, counts } =
    options.format === 'csv'
      ? await csvSource(file, work)
      : { source: await openNdjson(file, options.limit), counts: undefined };
  const tally = new Tally();
  const submitStartedAt = Date.now();
  const stopped = await withProgress(
    io,
    () => ({
      label: 'submitting',
      done: tally.done,
      total: source.orders,
      counts: { new: tally.accepted, 'already there': tally.alreadyThere, refused: tally.refusedByApi },
      note: note(),
    }),
    () =>
      sendAll(source, {
        client,
        concurrency: options.concurrency,
        rate: options.rate,
        report,
        tally,
        signal: io.signal,
      }),
  );
  const submitMs = Date.now() - submitStartedAt;
  const { newIds, earlierIds } = tally;
  let settled = 0;
  const wait =
    options.wait && stopped === undefined
      ? await withProgress(
          io,
          () => ({ label: 'waiting', done: settled, total: newIds.length + earlierIds.length, note: note() }),
          () => waitForAll({ client, newIds, earlierIds, signal: io.signal, onSettled: (count) => (settled = count) }),
        )
      : undefined;
  const summary = summarize({
    file: options.file,
    report: report.path,
    tally,
    usableOrders: source.orders,
    stopped,
    catalog: counts,
    submitMs,
    totalMs: Date.now() - startedAt,
    wait,
  });
  io.stdout.write(options.json ? `${JSON.stringify(summary, null, 2)}\n` : summaryText(summary));
  return succeeded(summary) ? 0 : 1;
}

async function csvSource(file: OrderFile, { options, io, client, note }: Work) {
  const { currency, limit, concurrency, paymentToken } = options;
  const plan = await planCsv(file, { currency, limit });
  let done = 0;
  const asking = { currency, concurrency, signal: io.signal, onDone: () => (done += 1) };
  const { entries, counts } = await withProgress(
    io,
    () => ({ label: 'catalogue', done, total: plan.items.size, note: note() }),
    async () =>
      options.catalog
        ? ensureCatalog(client, wantedItems(plan, options), asking)
        : { entries: await lookUpCatalog(client, skusOf(plan), asking), counts: undefined },
  );
  if (io.signal.aborted) throw new Interrupted('stopped');
  const source: OrderSource = {
    orders: plan.usableOrders,
    items: () => csvItems({ file, plan, catalog: entries, paymentToken, options: { currency, limit } }),
  };
  return { source, counts };
}

function* wantedItems(plan: CsvPlan, { currency, stock }: SubmitOptions) {
  for (const [sku, { description, priceMinor, quantity }] of plan.items) {
    const readable = description
      .replace(/\p{Cc}+/gu, ' ')
      .slice(0, MAX_DESCRIPTION)
      .toWellFormed()
      .trim();
    yield { sku, description: readable === '' ? sku : readable, priceMinor, currency, onHand: stock ?? quantity };
  }
}

function* skusOf(plan: CsvPlan) {
  for (const sku of plan.items.keys()) yield { sku };
}

async function withProgress<T>(io: CommandIo, state: () => ProgressState, work: () => Promise<T>): Promise<T> {
  const progress = showProgress(io.stderr, state);
  try {
    return await work();
  } finally {
    progress.stop();
  }
}
