import { expect, test } from 'vitest';
import { mendHeaders } from '../../src/adapters/amqp/header-frames.ts';

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const sized = (bytes: Buffer): Buffer => Buffer.concat([uint32(bytes.length), bytes]);
const field = (name: string, tag: string, value: Buffer): Buffer =>
  Buffer.concat([Buffer.from([name.length]), Buffer.from(name + tag), value]);

/** A header frame as it comes from the broker: with the content type, the headers and the delivery mode. */
function frame(fields: readonly Buffer[]): Buffer {
  const properties = Buffer.concat([Buffer.from('\u0004text'), sized(Buffer.concat(fields)), Buffer.from([2])]);
  const payload = Buffer.concat([Buffer.from('003c0000000000000000000ab000', 'hex'), properties]);
  return Buffer.concat([Buffer.from([2, 0, 1]), sized(payload), Buffer.from([0xce])]);
}

function mended(fields: readonly Buffer[]): Buffer {
  const bytes = frame(fields);
  mendHeaders(bytes);
  return bytes;
}

const eight = Buffer.from('LLLLLLLL');

test('the tag L becomes the l that means the same, wherever it stands, and an L that is no tag stays', () => {
  const fields = (tag: string): Buffer[] => [
    field('V', 'V', Buffer.alloc(0)),
    field('L', 'S', sized(Buffer.from('L\u0001L'))),
    field('big', tag, eight),
    field('bytes', 'x', sized(eight)),
    field('T', 'T', eight),
    field('D', 'D', Buffer.from('LLLLL')),
    field('table', 'F', sized(Buffer.concat([field('LL', tag, eight), field('t', 't', Buffer.from('L'))]))),
    field('array', 'A', sized(Buffer.concat([Buffer.from(tag), eight, Buffer.from('I'), uint32(1)]))),
  ];
  expect(mended(fields('L'))).toEqual(frame(fields('l')));
});

test('headers that hold nothing strange stay as they are, byte for byte', () => {
  const fields = [field('idempotency-key', 'S', sized(Buffer.from('k1'))), field('n', 'l', eight)];
  expect(mended(fields)).toEqual(frame(fields));
});

test.each([
  ['nest by the thousand', field('a', 'F', nested(5_000))],
  ['are of a kind that nobody knows', field('abc', '?', eight)],
  ['end in the middle', field('a', 'S', Buffer.concat([uint32(100), eight]))],
])('headers that %s become bytes without a name', (_, strange) => {
  const hidden = field('', 'x', sized(strange.subarray(6)));
  expect(mended([strange])).toEqual(frame([hidden]));
});

test('a frame that has not wholly come is left alone until it has', () => {
  const whole = frame([field('big', 'L', eight)]);
  for (let length = 0; length < whole.length; length += 1) {
    const part = Buffer.from(whole.subarray(0, length));
    mendHeaders(part);
    expect(part).toEqual(whole.subarray(0, length));
  }
});

/** What follows the tag of a table that holds a table that holds a table … */
function nested(depth: number): Buffer {
  let table = sized(Buffer.alloc(0));
  for (let n = 0; n < depth; n += 1) table = sized(Buffer.concat([Buffer.from('\0F'), table]));
  return table;
}
