import { randomUUID } from 'node:crypto';
import { consumerWithSecret } from '../../api/consumer-schemas.ts';
import { type Run, UsageError } from '../command.ts';
import { printable } from '../format.ts';
import { auditOf, auditOptions, withApi } from '../verbs.ts';
import { apiUrl, parseWords, wholeNumber } from '../words.ts';

/** `evenkeel consumers add`: here `--url` is the consumer's, as in the API, and `--api` says where that is. */
export const add: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, {
    ...auditOptions,
    name: { type: 'string' },
    url: { type: 'string' },
    exchange: { type: 'string' },
    'routing-key': { type: 'string' },
    mail: { type: 'boolean' },
    from: { type: 'string' },
    types: { type: 'string', multiple: true },
    filter: { type: 'string' },
    'max-in-flight': { type: 'string' },
    disabled: { type: 'boolean' },
    api: { type: 'string' },
    json: { type: 'boolean' },
  });
  if (positionals[0] !== undefined) throw new UsageError(`'${positionals[0]}' means nothing here`);
  const { name, url, exchange, 'routing-key': routingKey, mail = false, from } = values;
  const { filter, 'max-in-flight': maxInFlight } = values;
  const types = (values.types ?? []).flatMap((some) => some.split(',')).map((one) => one.trim());
  if (name === undefined) throw new UsageError('--name is missing');
  if (types.length === 0) throw new UsageError("--types is missing; '*' is all of them");
  if ([url !== undefined, exchange !== undefined, mail].filter(Boolean).length !== 1) {
    throw new UsageError('say either --url, where its webhooks go, --exchange or --mail; where the API is says --api');
  }
  if (routingKey !== undefined && exchange === undefined) throw new UsageError('--routing-key goes with --exchange');
  if (from !== undefined && !mail) throw new UsageError('--from goes with --mail');
  const body = {
    name,
    ...(url === undefined ? {} : { url }),
    ...(exchange === undefined ? {} : { amqp: { exchange, ...(routingKey === undefined ? {} : { routingKey }) } }),
    ...(mail ? { mail: from === undefined ? {} : { from } } : {}),
    types,
    ...(filter === undefined ? {} : { filter: jsonObject(filter) }),
    ...(maxInFlight === undefined ? {} : { maxInFlight: wholeNumber('max-in-flight', maxInFlight, 1, 1_000) }),
    ...(values.disabled === true ? { enabled: false } : {}),
    ...auditOf(values, io),
  };
  return withApi(apiUrl(values.api, io), io, async ({ client }) => {
    const made = consumerWithSecret.parse((await client.post('/v1/consumers', body, randomUUID())).body);
    if (values.json === true) {
      io.stdout.write(`${JSON.stringify(made, null, 2)}\n`);
      return 0;
    }
    const hint = `'evenkeel consumers ping ${made.id}' tries it out.`;
    // Mails are signed with nothing.
    const secret = mail ? '\n' : `secret  ${made.secret}\n\nKeep the secret: nobody can show it again. `;
    io.stdout.write(`${printable(made.name)} is ${made.state}\nid      ${made.id}\n${secret}${hint}\n`);
    return 0;
  });
};

function jsonObject(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Said below, like everything else that is no object.
  }
  throw new UsageError(`--filter takes a JSON object such as {"data": {"currency": "GBP"}}, not '${text}'`);
}
