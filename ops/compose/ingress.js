// Hands each connection on to one of several: node ops/compose/ingress.js --to NAME:PORT --host HOST --port PORT.
// The name is looked up each time, and its addresses are tried one after the other: who is gone, or does not listen yet, is
// passed over.
import { connect, createServer } from 'node:net';
import { parseArgs } from 'node:util';

const text = { type: 'string' };
const { to, host, port } = parseArgs({ options: { to: text, host: text, port: text } }).values;
const [name, toPort] = to.split(':');

const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
  const peer = connect({
    host: name,
    port: Number(toPort),
    autoSelectFamily: true,
    allowHalfOpen: true,
    noDelay: true,
  });
  for (const [one, other] of [
    [client, peer],
    [peer, client],
  ]) {
    one.pipe(other);
    // Either may go at any time. The one that is left hears of it.
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroySoon());
  }
});
server.listen(Number(port), host);
process.once('SIGTERM', () => process.exit(0));
