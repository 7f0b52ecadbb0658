import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';

export interface NameServer {
  /** As resolvers take it: `address:port`. */
  readonly address: string;
  /** Names with the type of address that was asked for, `A` or `AAAA`, in the order of the questions. */
  readonly asked: readonly string[];
}

/** What is known of a name: its IPv4 addresses, `silent` for a server that never answers, `no-aaaa` for half of that. */
export type Names = Readonly<Record<string, readonly string[] | 'silent' | 'no-aaaa'>>;

const types: Readonly<Record<number, string>> = { 1: 'A', 28: 'AAAA' };
const NO_SUCH_NAME = 3;

/** A name server of one's own (RFC 1035), for the test that starts it. */
export async function nameServer(names: Names): Promise<NameServer> {
  const socket = createSocket('udp4');
  const asked: string[] = [];
  socket.on('message', (message, { port, address }) => {
    const { name, type, end } = question(message);
    asked.push(`${name} ${types[type] ?? type}`);
    const known = names[name];
    if (known === 'silent' || (known === 'no-aaaa' && type === 28)) return;
    const addresses = known === 'no-aaaa' ? ['127.0.0.1'] : (known ?? []);
    const answers = type === 1 ? addresses.map(answer) : [];
    const header = Buffer.from(message.subarray(0, 12));
    header.writeUInt16BE(0x8180 | (known === undefined ? NO_SUCH_NAME : 0), 2);
    for (const [offset, count] of [
      [6, answers.length],
      [8, 0],
      [10, 0],
    ] as const) {
      header.writeUInt16BE(count, offset);
    }
    socket.send(Buffer.concat([header, message.subarray(12, end), ...answers]), port, address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  onTestFinished(() => void socket.close());
  return { address: `127.0.0.1:${socket.address().port}`, asked };
}

function question(message: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.'), type: message.readUInt16BE(at + 1), end: at + 5 };
}

/** One address of the name in question, for no time at all. */
function answer(address: string): Buffer {
  return Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)]);
}
