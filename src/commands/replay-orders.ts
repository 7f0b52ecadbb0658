import { connectBroker } from '../adapters/amqp/broker.ts';
import { replayOrders } from '../adapters/amqp/order-replay.ts';
import { brokerTls } from '../app.ts';
import { ConfigError, readConfig } from '../config.ts';
import { type Run, UsageError } from './command.ts';
import { parseWords, wholeNumber } from './words.ts';

const HELP = `usage: evenkeel replay-orders [--limit N]

Sends orders that RabbitMQ keeps among the dead letters (queue evenkeel.orders.dead) on their way again, the oldest
first. Each has all of its attempts anew. Setting: AMQP_URL.

  --limit N   so many at most (all)
`;

/** `evenkeel replay-orders` */
export const run: Run = async (args, io) => {
  const { values, positionals } = parseWords(args, {
    help: { type: 'boolean', short: 'h' },
    limit: { type: 'string' },
  });
  if (values.help === true) {
    io.stdout.write(HELP);
    return 0;
  }
  if (positionals[0] !== undefined) throw new UsageError(`'${positionals[0]}' means nothing here`);
  const limit =
    values.limit === undefined
      ? Number.POSITIVE_INFINITY
      : wholeNumber('limit', values.limit, 1, Number.MAX_SAFE_INTEGER);
  const config = readConfig(io.env);
  const { AMQP_URL: url } = config;
  if (url === undefined) throw new ConfigError('set AMQP_URL to the RabbitMQ that keeps the dead letters.');
  const broker = connectBroker(url, { tls: brokerTls(config) });
  try {
    const moved = await replayOrders(broker, limit, io.signal);
    io.stdout.write(moved === 1 ? '1 order is on its way again\n' : `${moved} orders are on their way again\n`);
    return 0;
  } finally {
    await broker.close();
  }
};
