import { consumer as consumerSchema } from '../../api/consumer-schemas.ts';
import { type ApiAnswer, type ApiClient, ApiRefusal } from '../api-client.ts';
import { type Run, UsageError } from '../command.ts';
import { printable } from '../format.ts';
import { auditOf, auditOptions, withApi } from '../verbs.ts';
import { apiUrl, onlyWord, parseWords } from '../words.ts';
import { consumerDetailsOf, consumerId } from './find.ts';

type Audit = ReturnType<typeof auditOf>;

/** `evenkeel consumers pause CONSUMER` */
export const pause = changing((client, id, by) => client.post(`/v1/consumers/${id}/pause`, by));
/** `evenkeel consumers resume CONSUMER` */
export const resume = changing((client, id, by) => client.post(`/v1/consumers/${id}/resume`, by));
/** `evenkeel consumers enable CONSUMER` */
export const enable = changing((client, id, by) => client.patch(`/v1/consumers/${id}`, { enabled: true, ...by }));

/** All of these say what shall be, so that a repetition changes nothing. */
function changing(change: (client: ApiClient, id: string, by: Audit) => Promise<ApiAnswer>): Run {
  return async (args, io) => {
    const { values, positionals } = parseWords(args, {
      ...auditOptions,
      url: { type: 'string' },
      json: { type: 'boolean' },
    });
    const word = onlyWord(positionals, 'CONSUMER');
    return withApi(apiUrl(values.url, io), io, async ({ client }) => {
      const { body } = await change(client, await consumerId(client, word), auditOf(values, io));
      const { name, state } = consumerSchema.parse(body);
      io.stdout.write(values.json === true ? `${JSON.stringify(body, null, 2)}\n` : `${printable(name)} is ${state}\n`);
      return 0;
    });
  };
}

/** `evenkeel consumers delete CONSUMER` */
export const remove: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, {
    ...auditOptions,
    url: { type: 'string' },
    json: { type: 'boolean' },
  });
  if (values.json === true) throw new UsageError('delete has nothing to show as --json');
  const word = onlyWord(positionals, 'CONSUMER');
  return withApi(apiUrl(values.url, io), io, async ({ client, wasRepeated }) => {
    // Asked first, so that a mistyped id is told from one that is gone because a lost answer was asked for again.
    const { id, name, health } = await consumerDetailsOf(client, await consumerId(client, word));
    const query = new URLSearchParams(auditOf(values, io)).toString();
    try {
      await client.delete(`/v1/consumers/${id}${query === '' ? '' : `?${query}`}`);
    } catch (error) {
      if (!(wasRepeated() && error instanceof ApiRefusal && error.code === 'not_found')) throw error;
    }
    const left = health.backlog === 0 ? '' : `; the ${health.backlog} deliveries that waited become dead letters`;
    io.stdout.write(`${printable(name)} is deleted${left}\n`);
    return 0;
  });
};
