import { randomUUID } from 'node:crypto';
import { redrive as redriveSchema, redrivePreview } from '../../api/delivery-schemas.ts';
import type { ApiClient } from '../api-client.ts';
import { type CommandIo, type Run, UsageError } from '../command.ts';
import { allConsumers } from '../consumers/find.ts';
import { fitted } from '../format.ts';
import { auditOf, auditOptions, withApi } from '../verbs.ts';
import { apiUrl, onlyWord, parseWords } from '../words.ts';
import { filterOf, filterOptions, letterId, readFilter } from './filter.ts';
import { groupsText } from './groups.ts';
import { followRedrive, WAIT_PATIENCE_MS } from './redrive.ts';
import { redriveText } from './redrive-text.ts';
import { once } from './settle.ts';

/** `evenkeel dead-letters retry`: one by its id, or many as a redrive. */
export const retry: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, {
    ...filterOptions,
    ...auditOptions,
    all: { type: 'boolean' },
    rate: { type: 'string' },
    'dry-run': { type: 'boolean' },
    wait: { type: 'boolean' },
    url: { type: 'string' },
    json: { type: 'boolean' },
  });
  const { actor, reason, url: _url, ...ofMany } = values;
  const url = apiUrl(values.url, io);
  const by = auditOf({ actor, reason }, io);
  if (positionals.length > 0) {
    const id = letterId(onlyWord(positionals, 'ID'));
    const [extra] = Object.keys(ofMany);
    if (extra !== undefined) throw new UsageError(`--${extra} is for sending many again, not for one by its ID`);
    return retryOne(url, id, by, io);
  }
  const wanted = readFilter(values);
  if (wanted.isEmpty && values.all !== true) throw new UsageError('say which: an ID, a filter, or --all for every one');
  if (!wanted.isEmpty && values.all === true) throw new UsageError('--all takes no filter beside it');
  const isDryRun = values['dry-run'] ?? false;
  if (isDryRun && values.wait === true) throw new UsageError('--dry-run sends nothing that --wait could wait for');
  const ratePerSecond = values.rate === undefined ? {} : { ratePerSecond: rateOf(values.rate) };
  const patienceMs = values.wait === true ? WAIT_PATIENCE_MS : undefined;
  const json = values.json ?? false;
  return withApi(
    url,
    io,
    async ({ client }) => {
      const which = values.all === true ? { all: true } : { filter: await filterOf(client, wanted) };
      const body = { ...which, ...ratePerSecond, ...by };
      if (isDryRun) return preview(client, body, json, io);
      const answer = await client.post('/v1/dead-letters/retry', body, randomUUID());
      const made = redriveSchema.parse(answer.body);
      if (values.wait === true) return followRedrive(client, made, json, io);
      io.stdout.write(json ? `${JSON.stringify(made, null, 2)}\n` : redriveText(made, Date.now()));
      return 0;
    },
    patienceMs,
  );
};

async function retryOne(url: URL, id: string, by: ReturnType<typeof auditOf>, io: CommandIo): Promise<number> {
  return withApi(url, io, async (session) => {
    await once(session, id, 'retry', by, () => session.client.post(`/v1/dead-letters/${id}/retry`, by));
    io.stdout.write(`dead letter ${id} is sent again; 'evenkeel dead-letters show ${id}' tells what comes of it\n`);
    return 0;
  });
}

async function preview(client: ApiClient, body: object, json: boolean, { stdout }: CommandIo): Promise<number> {
  const answer = await client.post('/v1/dead-letters/retry', { ...body, dryRun: true });
  const { count, byCause, byConsumer, byType } = redrivePreview.parse(answer.body);
  if (json) {
    stdout.write(`${JSON.stringify(answer.body, null, 2)}\n`);
    return 0;
  }
  stdout.write(`${count} would be sent again; nothing was\n`);
  if (byCause.length === 0) return 0;
  const names = new Map((await allConsumers(client)).map(({ id, name }) => [id, name]));
  const nowMs = Date.now();
  const tables = [
    groupsText('cause', byCause, names, nowMs),
    groupsText('consumer', byConsumer, names, nowMs),
    groupsText('type', byType, names, nowMs),
  ];
  stdout.write(fitted(`\n${tables.join('\n')}`, stdout));
  return 0;
}

function rateOf(text: string): number {
  const rate = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && rate >= 0.01 && rate <= 1_000) return rate;
  throw new UsageError(`--rate takes a number from 0.01 to 1000, not '${text}'`);
}
