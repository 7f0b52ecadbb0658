import type { ChannelModel } from 'amqplib';

/** The part of an amqplib connection that takes what comes from the socket apart. */
interface FrameReader {
  /** What has come and is not read yet. */
  readonly rest: Buffer;
  /** Reads one frame of `rest`; asks the socket for more, and then itself again, if there is less. */
  recvFrame(): unknown;
}

const HEADER_FRAME = 2;
/** Type, channel and size. */
const FRAME_START = 7;
/** The start, the class, the weight and the size of the body; then come the flags, and the properties that they name. */
const FLAGS_AT = 19;
const HAS_CONTENT_TYPE = 0x80_00;
const HAS_CONTENT_ENCODING = 0x40_00;
const HAS_HEADERS = 0x20_00;
/** What nests deeper is no header that anybody reads; the library would run out of stack over some thousands. */
const DEEPEST = 100;
/** An empty name, the tag of a byte array, and its length. */
const HIDDEN_START = 6;

/** https://www.rabbitmq.com/amqp-0-9-1-errata#section_3 */
const sizes = new Map<string, number>(
  Object.entries({ V: 0, t: 1, b: 1, B: 1, s: 2, u: 2, I: 4, i: 4, f: 4, D: 5, d: 8, l: 8, T: 8 }),
);

/**
 * Has a connection read every header that RabbitMQ passes on. By itself amqplib ends the connection over one that it
 * cannot read, gets the same message first on the next, and so reads nothing else for ever. It does not know the tag `L`,
 * by which Python's clients send large numbers and which is the same as `l` (https://github.com/amqp-node/amqplib/pull/646),
 * and tables nested by the thousand. It has no door for a decoder of our own: the bytes are mended before it sees them.
 */
export function readAllHeaders({ connection }: ChannelModel): void {
  const reader = connection as unknown as FrameReader;
  const receive = reader.recvFrame.bind(reader);
  reader.recvFrame = () => {
    mendHeaders(reader.rest);
    return receive();
  };
}

/** Mends the frame that `bytes` begin with, in place, if it is one with headers and has wholly come. */
export function mendHeaders(bytes: Buffer): void {
  if (bytes.length < FRAME_START || bytes.readUInt8(0) !== HEADER_FRAME) return;
  const end = FRAME_START + bytes.readUInt32BE(3);
  if (bytes.length <= end) return;
  const flags = bytes.readUInt16BE(FLAGS_AT);
  if ((flags & HAS_HEADERS) === 0) return;
  let at = FLAGS_AT + 2;
  if ((flags & HAS_CONTENT_TYPE) !== 0) at += 1 + bytes.readUInt8(at);
  if ((flags & HAS_CONTENT_ENCODING) !== 0) at += 1 + bytes.readUInt8(at);
  const table = bytes.subarray(at + 4, at + 4 + bytes.readUInt32BE(at));
  if (!mendFields(table, true, 1)) hide(table);
}

/** Goes over a table, or an array, whose values have no names; false if there is something that cannot be read. */
function mendFields(fields: Buffer, areNamed: boolean, depth: number): boolean {
  if (depth > DEEPEST) return false;
  let at = 0;
  while (at < fields.length) {
    if (areNamed) at += 1 + fields.readUInt8(at);
    if (at >= fields.length) return false;
    const tag = String.fromCharCode(fields.readUInt8(at));
    if (tag === 'L') fields.write('l', at, 'latin1');
    at += 1;
    const size = sizes.get(tag === 'L' ? 'l' : tag);
    if (size !== undefined) {
      at += size;
      continue;
    }
    if (!'SxFA'.includes(tag) || at + 4 > fields.length) return false;
    const end = at + 4 + fields.readUInt32BE(at);
    if ((tag === 'F' || tag === 'A') && !mendFields(fields.subarray(at + 4, end), tag === 'F', depth + 1)) return false;
    at = end;
  }
  return at === fields.length;
}

/** Makes the table one byte array without a name, of the same length: the message is dealt with as one without headers. */
function hide(table: Buffer): void {
  if (table.length < HIDDEN_START) return;
  table.write('\0x', 0, 'latin1');
  table.writeUInt32BE(table.length - HIDDEN_START, 2);
}
