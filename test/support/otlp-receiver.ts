/**
 * A receiver of OTLP traces over HTTP, for tests: it reads the protobuf bytes by the field numbers of the published
 * definition (opentelemetry-proto v1, trace.proto and common.proto), and so shares no code with what sends them.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { waitFor } from './wait.ts';

type Value = string | number | boolean;
export type SpanKindName = 'UNSPECIFIED' | 'INTERNAL' | 'SERVER' | 'CLIENT' | 'PRODUCER' | 'CONSUMER';

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Undefined for a root. */
  readonly parentId: string | undefined;
  readonly name: string;
  readonly kind: SpanKindName;
  /** In nanoseconds since 1970. */
  readonly startedAt: bigint;
  readonly endedAt: bigint;
  readonly attributes: Readonly<Record<string, Value>>;
  readonly events: readonly { readonly name: string; readonly attributes: Readonly<Record<string, Value>> }[];
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly status: { readonly code: 'unset' | 'ok' | 'error'; readonly message: string };
  /** Of the process that sent it. */
  readonly resource: Readonly<Record<string, Value>>;
}

export interface OtlpReceiver {
  /** For `OTEL_EXPORTER_OTLP_ENDPOINT`. */
  readonly endpoint: string;
  readonly spans: ReceivedSpan[];
  /** Every body as it came, for who looks for what must not be in it. */
  readonly bodies: Buffer[];
  /** What requests are answered; 200 at first. */
  answer: number;
  /** Resolves with the spans of a trace once `has` is content with them. */
  trace(traceId: string, what: string, has: (spans: readonly ReceivedSpan[]) => boolean): Promise<ReceivedSpan[]>;
  close(): Promise<void>;
}

export async function startOtlpReceiver(port = 0): Promise<OtlpReceiver> {
  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      const isTraces = request.method === 'POST' && request.url === '/v1/traces';
      const isProtobuf = request.headers['content-type'] === 'application/x-protobuf';
      if (!isTraces || !isProtobuf) return response.writeHead(400).end();
      if (receiver.answer === 200) {
        receiver.bodies.push(body);
        receiver.spans.push(...spansOf(body));
      }
      return response.writeHead(receiver.answer, { 'content-type': 'application/x-protobuf' }).end();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const receiver: OtlpReceiver = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans: [],
    bodies: [],
    answer: 200,
    trace(traceId, what, has) {
      const received = (): ReceivedSpan[] => receiver.spans.filter((span) => span.traceId === traceId);
      return waitFor(
        `trace ${traceId} has ${what}`,
        () => (has(received()) ? received() : undefined),
        30_000,
        () => received().map(({ name, attributes }) => ({ name, attributes })),
      );
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return receiver;
}

/** One field of a message: a varint or eight bytes as a number, or bytes. */
interface Field {
  readonly number: number;
  readonly value: bigint | Buffer;
}

/** Reads a message's fields (https://protobuf.dev/programming-guides/encoding/). */
function fieldsOf(message: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++];
      if (byte === undefined) throw new Error('a protobuf message ends in the middle of a number');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const tag = Number(varint());
    const [number, type] = [tag >> 3, tag & 7];
    if (type === 0) fields.push({ number, value: varint() });
    else if (type === 1) {
      fields.push({ number, value: message.readBigUInt64LE(at) });
      at += 8;
    } else if (type === 2) {
      const length = Number(varint());
      fields.push({ number, value: message.subarray(at, at + length) });
      at += length;
    } else if (type === 5) {
      fields.push({ number, value: BigInt(message.readUInt32LE(at)) });
      at += 4;
    } else throw new Error(`a protobuf field of type ${type}`);
  }
  return fields;
}

const bytes = (value: Field['value'] | undefined): Buffer => (Buffer.isBuffer(value) ? value : Buffer.alloc(0));
const all = (fields: readonly Field[], number: number): Buffer[] =>
  fields.filter((field) => field.number === number).map(({ value }) => bytes(value));
const one = (fields: readonly Field[], number: number): Field['value'] | undefined =>
  fields.find((field) => field.number === number)?.value;
const integer = (value: Field['value'] | undefined): bigint => (typeof value === 'bigint' ? value : 0n);

function spansOf(request: Buffer): ReceivedSpan[] {
  return all(fieldsOf(request), 1).flatMap((resourceSpans) => {
    const fields = fieldsOf(resourceSpans);
    const resource = attributesOf(fieldsOf(bytes(one(fields, 1))), 1);
    const scopes = all(fields, 2).map(fieldsOf);
    return scopes.flatMap((scope) => all(scope, 2).map((span) => spanOf(fieldsOf(span), resource)));
  });
}

const kinds: readonly SpanKindName[] = ['UNSPECIFIED', 'INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER'];

function spanOf(span: readonly Field[], resource: ReceivedSpan['resource']): ReceivedSpan {
  const parentId = bytes(one(span, 4)).toString('hex');
  const status = fieldsOf(bytes(one(span, 15)));
  return {
    traceId: bytes(one(span, 1)).toString('hex'),
    spanId: bytes(one(span, 2)).toString('hex'),
    parentId: parentId === '' ? undefined : parentId,
    name: bytes(one(span, 5)).toString(),
    kind: kinds[Number(integer(one(span, 6)))] ?? 'UNSPECIFIED',
    startedAt: integer(one(span, 7)),
    endedAt: integer(one(span, 8)),
    attributes: attributesOf(span, 9),
    events: all(span, 11).map((event) => {
      const fields = fieldsOf(event);
      return { name: bytes(one(fields, 2)).toString(), attributes: attributesOf(fields, 3) };
    }),
    links: all(span, 13).map((link) => {
      const fields = fieldsOf(link);
      return { traceId: bytes(one(fields, 1)).toString('hex'), spanId: bytes(one(fields, 2)).toString('hex') };
    }),
    status: {
      code: (['unset', 'ok', 'error'] as const)[Number(integer(one(status, 3)))] ?? 'unset',
      message: bytes(one(status, 2)).toString(),
    },
    resource,
  };
}

function attributesOf(fields: readonly Field[], number: number): Record<string, Value> {
  return Object.fromEntries(
    all(fields, number).map((pair) => {
      const [key, value] = [one(fieldsOf(pair), 1), one(fieldsOf(pair), 2)];
      return [bytes(key).toString(), anyValue(fieldsOf(bytes(value)))];
    }),
  );
}

function anyValue([field]: readonly Field[]): Value {
  if (field === undefined) return '';
  const { number, value } = field;
  if (number === 1) return bytes(value).toString();
  if (number === 2) return integer(value) === 1n;
  if (number === 3) return Number(BigInt.asIntN(64, integer(value)));
  if (number === 4) {
    const eight = Buffer.alloc(8);
    eight.writeBigUInt64LE(integer(value));
    return eight.readDoubleLE();
  }
  throw new Error(`an attribute whose value has the number ${number}`);
}
