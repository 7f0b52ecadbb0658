import type { z } from 'zod';
import { deadLetterDetails } from '../../api/delivery-schemas.ts';
import type { ApiClient } from '../api-client.ts';
import type { Run } from '../command.ts';
import { age, printable, table } from '../format.ts';
import { duration } from '../submit/progress.ts';
import { withApi } from '../verbs.ts';
import { apiUrl, onlyWord, parseWords } from '../words.ts';
import { letterId } from './filter.ts';

export type LetterDetails = z.output<typeof deadLetterDetails>;

const MAX_ATTEMPTS = 20;
const MAX_ANSWER = 500;

/** `evenkeel dead-letters show ID` */
export const show: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, { url: { type: 'string' }, json: { type: 'boolean' } });
  const id = letterId(onlyWord(positionals, 'ID'));
  return withApi(apiUrl(values.url, io), io, async ({ client }) => {
    const letter = await findLetter(client, id);
    io.stdout.write(values.json === true ? `${JSON.stringify(letter, null, 2)}\n` : letterText(letter, Date.now()));
    return 0;
  });
};

/** Throws `ApiRefusal` (`not_found`) where there is none. */
export async function findLetter(client: ApiClient, id: string): Promise<LetterDetails> {
  return deadLetterDetails.parse((await client.get(`/v1/dead-letters/${id}`)).body);
}

function letterText(letter: LetterDetails, nowMs: number): string {
  const head = table([
    ['Dead letter', letter.id],
    ['Status', letter.status === 'dead' ? `dead for ${age(letter.deadSince, nowMs)}` : letter.status],
    ['Cause', letter.cause],
    ['Consumer', `${printable(letter.consumerName)} (${letter.consumerId})`],
    ['Order', letter.orderId],
    ['Event', `${letter.type}, number ${letter.sequence} of the order, ${letter.eventAt}`],
    ['Event id', letter.eventId],
  ]);
  return [
    head,
    section('Data', data(letter)),
    section('Attempts', attempts(letter)),
    section(
      'The last answer',
      printable(letter.log.findLast(({ answer }) => answer)?.answer ?? '').slice(0, MAX_ANSWER),
    ),
    section('What people did', actions(letter)),
    section('You can', letter.status === 'dead' ? choices(letter) : ''),
  ].join('');
}

function section(title: string, text: string): string {
  return text === '' ? '' : `\n${title}\n${text.trimEnd().replace(/^(?=.)/gm, '  ')}\n`;
}

/** What stands in it may come from anybody; JSON escapes most control characters, and these are left to it. */
function data({ envelope }: LetterDetails): string {
  return JSON.stringify(envelope['data'] ?? {}, null, 2).replace(/[^\P{Cc}\n]/gu, ' ');
}

function attempts({ log }: LetterDetails): string {
  const rows = log
    .slice(-MAX_ATTEMPTS)
    .map(({ startedAt, durationMs, outcome, cause, error, late }) => [
      startedAt,
      duration(durationMs),
      `${cause ?? outcome}${late ? ' (late)' : ''}`,
      printable(error ?? ''),
    ]);
  const before = log.length > MAX_ATTEMPTS ? `${log.length - MAX_ATTEMPTS} before these\n` : '';
  return before + table(rows, [1]);
}

function actions({ actions: all }: LetterDetails): string {
  return table(all.map(({ at, action, actor, reason }) => [at, action, printable(actor), printable(reason ?? '')]));
}

/** What was meant for a deleted consumer has nowhere to go. */
function choices({ id, cause }: LetterDetails): string {
  const discard = [`evenkeel dead-letters discard ${id} --reason WHY`, 'give it up'];
  if (cause === 'consumer_deleted') return table([discard]);
  return table([
    [`evenkeel dead-letters retry ${id}`, 'send it again as it is'],
    [`evenkeel dead-letters edit ${id} --data FILE --reason WHY`, 'send it corrected'],
    discard,
  ]);
}
