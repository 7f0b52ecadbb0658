import { pingResult } from '../../api/consumer-schemas.ts';
import type { Run } from '../command.ts';
import { printable } from '../format.ts';
import { duration } from '../submit/progress.ts';
import { withApi } from '../verbs.ts';
import { apiUrl, onlyWord, parseWords } from '../words.ts';
import { consumerId } from './find.ts';

/** `evenkeel consumers ping CONSUMER`: 0 if it took the test event, else 1. */
export const ping: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, { url: { type: 'string' }, json: { type: 'boolean' } });
  const word = onlyWord(positionals, 'CONSUMER');
  return withApi(apiUrl(values.url, io), io, async ({ client }) => {
    const id = await consumerId(client, word);
    const result = pingResult.parse((await client.post(`/v1/consumers/${id}/ping`, {})).body);
    const { outcome, cause, status, error, answer, durationMs } = result;
    if (values.json === true) {
      io.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    } else if (outcome === 'delivered') {
      io.stdout.write(`delivered in ${duration(durationMs)}${status === null ? '' : `, answered ${status}`}\n`);
    } else {
      const words = error === null ? '' : `: ${printable(error)}`;
      const said = answer === null || answer === '' ? '' : `\nit said: ${printable(answer).slice(0, 500)}`;
      io.stdout.write(`failed after ${duration(durationMs)}, ${cause ?? 'unknown'}${words}${said}\n`);
    }
    return outcome === 'delivered' ? 0 : 1;
  });
};
