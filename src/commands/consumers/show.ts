import type { Run } from '../command.ts';
import { age, printable, table } from '../format.ts';
import { duration } from '../submit/progress.ts';
import { withApi } from '../verbs.ts';
import { apiUrl, onlyWord, parseWords } from '../words.ts';
import { type ConsumerDetails, consumerDetailsOf, consumerId } from './find.ts';

/** `evenkeel consumers show CONSUMER` */
export const show: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, { url: { type: 'string' }, json: { type: 'boolean' } });
  const word = onlyWord(positionals, 'CONSUMER');
  return withApi(apiUrl(values.url, io), io, async ({ client }) => {
    const found = await consumerDetailsOf(client, await consumerId(client, word));
    io.stdout.write(values.json === true ? `${JSON.stringify(found, null, 2)}\n` : consumerText(found, Date.now()));
    return 0;
  });
};

function consumerText(consumer: ConsumerDetails, nowMs: number): string {
  const { backlog, lagSeconds, deadLetters, lastHour, lastSuccessAt, lastFailures } = consumer.health;
  const share = lastHour.successRate === null ? '' : `, ${(lastHour.successRate * 100).toFixed(1)} % of them successes`;
  const rows: [string, string][] = [
    ['Consumer', printable(consumer.name)],
    ['Id', consumer.id],
    ['Target', target(consumer)],
    ['Types', printable(consumer.types.join(', '))],
    ...(consumer.filter === null ? [] : [['Filter', printable(JSON.stringify(consumer.filter))] as [string, string]]),
    ['State', stateText(consumer, nowMs)],
    ['Mode', modeText(consumer, nowMs)],
    ['Waiting', backlog === 0 ? 'nothing' : `${backlog}, the oldest for ${duration(lagSeconds * 1_000)}`],
    ['Dead letters', String(deadLetters)],
    ['Last hour', `${lastHour.attempts} attempts${share}`],
    ['Last success', lastSuccessAt === null ? 'none' : `${lastSuccessAt}, ${age(lastSuccessAt, nowMs)} ago`],
  ];
  const failures = lastFailures.map(({ at, eventId, cause, error }) => [
    `  ${age(at, nowMs)} ago`,
    cause,
    eventId,
    printable(error ?? ''),
  ]);
  return table(rows) + (failures.length === 0 ? '' : `\nLast failures\n${table(failures)}`);
}

function target({ url, amqp, mail }: ConsumerDetails): string {
  if (url !== undefined) return printable(url);
  if (mail !== undefined) return `mail to customers${mail.from === null ? '' : `, from ${printable(mail.from)}`}`;
  const key = amqp?.routingKey ?? 'the type';
  return amqp === undefined ? '' : `exchange ${printable(amqp.exchange)}, routing key ${printable(key)}`;
}

function stateText({ state, stateReason, stateSince }: ConsumerDetails, nowMs: number): string {
  const why = stateReason === null ? '' : `: ${printable(stateReason)}`;
  return `${state} for ${age(stateSince, nowMs)}${why}`;
}

function modeText({ health: { mode, trouble, throttledUntil } }: ConsumerDetails, nowMs: number): string {
  const why = trouble === null ? '' : ` for ${age(trouble.since, nowMs)}: ${printable(trouble.reason)}`;
  const throttled = throttledUntil !== null && Date.parse(throttledUntil) > nowMs;
  return `${mode}${why}${throttled ? `, sent nothing until ${throttledUntil} because it said so` : ''}`;
}
