/** The receiving side of webhooks for tests of the sending one. */
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
  createServer,
} from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, type Server, type Socket, createServer as createSocketServer } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import type { Destination, OutgoingEvent } from '../../src/domain/delivery-ports.ts';

export interface Received {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Receiver {
  readonly port: number;
  /** On 127.0.0.1, with a path and a query that are nobody else's business. */
  readonly url: string;
  readonly received: Received[];
  /** Connections that were made. */
  readonly connections: Socket[];
}

/** Answers each webhook as `answer` does, until the test is over. With a certificate, over TLS. */
export async function receiver(
  answer: RequestListener = (_, response) => response.writeHead(204).end(),
  secure?: { readonly cert: string; readonly key: string },
): Promise<Receiver> {
  const received: Received[] = [];
  const note = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await buffer(request);
    received.push({ method: request.method, path: request.url, headers: request.headers, body });
    answer(request, response);
  };
  const take: RequestListener = (request, response) => void note(request, response);
  const server = secure === undefined ? createServer(take) : createSecureServer(secure, take);
  return { ...(await listening(server)), received };
}

/** Does with each connection whatever `behave` does, HTTP or not. */
export async function socketServer(behave: (socket: Socket) => void): Promise<Receiver> {
  const server = createSocketServer((socket) => {
    socket.on('error', () => undefined);
    behave(socket);
  });
  return { ...(await listening(server)), received: [] };
}

async function listening(server: Server): Promise<Omit<Receiver, 'received'>> {
  const connections: Socket[] = [];
  server.on('connection', (socket) => connections.push(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    for (const socket of connections) socket.destroy();
  });
  const { port } = server.address() as AddressInfo;
  return { port, url: `http://127.0.0.1:${port}/hidden-path?token=hidden-query`, connections };
}

/** A port that nobody listens on. */
export async function closedPort(): Promise<number> {
  const server = createSocketServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export const newSecret = (): string => `whsec_${randomBytes(24).toString('base64')}`;

export function to(url: string, secrets: readonly string[] = [newSecret()]): Destination {
  return { consumerId: randomUUID(), target: { kind: 'http', url }, secrets };
}

export function newEvent(attributes: Readonly<Record<string, unknown>> = {}): OutgoingEvent {
  const eventId = randomUUID();
  const type = 'evenkeel.order.confirmed.v1';
  // With spaces and beyond ASCII: these bytes, and none that merely mean the same.
  return {
    eventId,
    type,
    body: JSON.stringify({ id: eventId, type, data: { note: 'Grüße 🚢' }, ...attributes }, null, 1),
  };
}
