import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { redrive as redriveSchema } from '../../api/delivery-schemas.ts';
import type { RedriveView } from '../../domain/consumer-ports.ts';
import { type ApiClient, Interrupted } from '../api-client.ts';
import { type CommandIo, type Run, UsageError } from '../command.ts';
import { fitted } from '../format.ts';
import { jsonPrinter, pagesOf } from '../listing.ts';
import { showProgress } from '../submit/progress.ts';
import { auditOf, auditOptions, withApi } from '../verbs.ts';
import { apiUrl, parseWords } from '../words.ts';
import { onTheirWay, redrivesTable, redriveText } from './redrive-text.ts';

const LATEST = 20;
const LOOK_MS = 500;
/** What is sent last needs a moment to arrive; what fails may be tried for hours, and nobody waits that long. */
const GRACE_MS = 30_000;
/** Who waits for a redrive does not give up at the API's first restart. */
export const WAIT_PATIENCE_MS = 10 * 60_000;

const wishes = ['pause', 'resume', 'stop'] as const;

/** `evenkeel dead-letters redrive` */
export const redrive: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, {
    ...auditOptions,
    wait: { type: 'boolean' },
    url: { type: 'string' },
    json: { type: 'boolean' },
  });
  const [id, word, extra] = positionals;
  if (extra !== undefined) throw new UsageError(`'${extra}' is one word too many`);
  if (id !== undefined && !z.guid().safeParse(id).success) {
    throw new UsageError(`'${id}' is no redrive's id; 'evenkeel dead-letters redrive' lists the latest`);
  }
  const wish = wishes.find((known) => known === word);
  if (word !== undefined && wish === undefined) throw new UsageError(`'${word}' is none of ${wishes.join(', ')}`);
  if (id === undefined && values.wait === true) throw new UsageError('--wait needs the ID of a redrive');
  const json = values.json ?? false;
  const patienceMs = values.wait === true ? WAIT_PATIENCE_MS : undefined;
  return withApi(
    apiUrl(values.url, io),
    io,
    async ({ client }) => {
      if (id === undefined) return listLatest(client, json, io);
      const path = `/v1/redrives/${id}`;
      const answer =
        wish === undefined ? await client.get(path) : await client.post(`${path}/${wish}`, auditOf(values, io));
      const seen = redriveSchema.parse(answer.body);
      if (values.wait === true) return followRedrive(client, seen, json, io);
      io.stdout.write(json ? `${JSON.stringify(seen, null, 2)}\n` : redriveText(seen, Date.now()));
      return 0;
    },
    patienceMs,
  );
};

async function listLatest(client: ApiClient, json: boolean, { stdout }: CommandIo): Promise<number> {
  for await (const { data } of pagesOf(client, { path: '/v1/redrives', of: redriveSchema, limit: LATEST })) {
    if (json) {
      const printer = jsonPrinter(stdout);
      printer.page(data, false);
      printer.end();
    } else if (data.length === 0) stdout.write('no redrives\n');
    else stdout.write(fitted(redrivesTable(data, Date.now()), stdout));
  }
  return 0;
}

interface Waiting {
  readonly lookMs: number;
  readonly graceMs: number;
}

/**
 * Shows progress until the redrive is at its end and what it sent has come to something, and then what that was. The
 * exit code: 0 if it completed and all arrived. Interrupted, only the waiting ends.
 */
export async function followRedrive(
  client: Pick<ApiClient, 'get'>,
  first: RedriveView,
  json: boolean,
  io: CommandIo,
  { lookMs, graceMs }: Waiting = { lookMs: LOOK_MS, graceMs: GRACE_MS },
): Promise<number> {
  let seen = first;
  const progress = showProgress(io.stderr, () => ({
    label: 'sending again',
    done: seen.sent,
    total: seen.total,
    counts: { arrived: seen.delivered, 'dead again': seen.deadAgain, 'on their way': onTheirWay(seen) },
    note: seen.state === 'running' ? undefined : seen.state,
  }));
  try {
    let endedAt: number | undefined;
    for (;;) {
      if (seen.finishedAt !== null) endedAt ??= Date.now();
      if (endedAt !== undefined && (onTheirWay(seen) === 0 || Date.now() - endedAt >= graceMs)) break;
      await sleep(lookMs, undefined, { signal: io.signal }).catch(() => {
        throw new Interrupted('stopped');
      });
      seen = redriveSchema.parse((await client.get(`/v1/redrives/${first.id}`)).body);
    }
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    io.stderr.write('\nno longer waiting; the redrive goes on\n');
  } finally {
    progress.stop();
  }
  io.stdout.write(json ? `${JSON.stringify(seen, null, 2)}\n` : redriveText(seen, Date.now()));
  return seen.state === 'completed' && seen.deadAgain === 0 && onTheirWay(seen) === 0 ? 0 : 1;
}
