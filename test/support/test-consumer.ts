/** A consumer of webhooks that a test can make behave in any way, and that notes all it gets. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import type { Stack } from './stack.ts';

export interface Receipt {
  readonly eventId: string;
  readonly subject: string;
  readonly sequence: number;
  readonly type: string;
  /** Of the attempt, from its header; and of the change, from the event itself. */
  readonly traceparent: string | undefined;
  readonly eventTraceparent: string;
  /** When the event happened, and when it got here, in milliseconds since 1970. */
  readonly eventAt: number;
  readonly receivedAt: number;
  /** What it was answered: a status, or what else was done to the connection. */
  readonly answer: Answer;
}

/** `hang`: never answers. `half`: begins an answer and breaks off. `reset`: breaks off at once. */
export type Answer = number | 'hang' | 'half' | 'reset';

export type Behavior = (
  event: Readonly<Record<string, unknown>>,
) => Answer | { answer: Answer; afterMs?: number; headers?: Record<string, string> };

export class TestConsumer {
  readonly receipts: Receipt[] = [];
  /** Messages whose signature did not verify; there must be none. */
  readonly unsigned: string[] = [];
  id = '';
  behave: Behavior = () => 204;
  #webhook: Webhook | undefined;
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      void this.#take(request, response).catch(() => response.destroy());
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  /** Those that were answered with a 2xx. */
  get accepted(): Receipt[] {
    return this.receipts.filter(({ answer }) => typeof answer === 'number' && answer >= 200 && answer < 300);
  }

  /** Makes it a consumer of the stack's. */
  async register(stack: Pick<Stack, 'request'>, body: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const reply = await stack.request(
      'POST',
      '/v1/consumers',
      { name: `test ${this.url}`, url: this.url, types: ['evenkeel.order.*'], ...body },
      { 'idempotency-key': `consumer-${this.url}-${Math.random()}` },
    );
    if (reply.status !== 201) throw new Error(`POST /v1/consumers: ${reply.status} ${reply.text}`);
    const { id, secret } = reply.json as { id: string; secret: string };
    this.id = id;
    this.#webhook = new Webhook(secret);
    return id;
  }

  /** Stops listening, so that connections are refused; the port stays its own for `listen`. */
  async down(): Promise<void> {
    const port = (this.#server.address() as AddressInfo).port;
    await closed(this.#server);
    this.#port = port;
  }

  async up(): Promise<void> {
    await listening(this.#server, this.#port);
  }

  #port = 0;

  async close(): Promise<void> {
    await closed(this.#server);
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const receivedAt = Date.now();
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString('utf8');
    try {
      this.#webhook?.verify(body, request.headers as Record<string, string>);
    } catch (error) {
      this.unsigned.push(String(error));
    }
    const event = JSON.parse(body) as Record<string, unknown>;
    const wish = this.behave(event);
    const { answer, afterMs = 0, headers = {} } = typeof wish === 'object' ? wish : { answer: wish };
    this.receipts.push({
      eventId: String(event['id']),
      subject: String(event['subject']),
      sequence: Number(event['sequence']),
      type: String(event['type']),
      traceparent: request.headers['traceparent'] as string | undefined,
      eventTraceparent: String(event['traceparent']),
      eventAt: Date.parse(String(event['time'])),
      receivedAt,
      answer,
    });
    if (afterMs > 0) await new Promise((resolve) => setTimeout(resolve, afterMs));
    if (answer === 'hang') return;
    if (answer === 'reset') response.destroy();
    else if (answer === 'half') {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('half of it');
      setTimeout(() => response.destroy(), 20);
    } else response.writeHead(answer, headers).end();
  }
}

export async function startTestConsumer(behave?: Behavior): Promise<TestConsumer> {
  const server = createServer({ keepAliveTimeout: 60_000 });
  await listening(server, 0);
  const consumer = new TestConsumer(server);
  if (behave) consumer.behave = behave;
  return consumer;
}

async function listening(server: Server, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve());
  });
}

async function closed(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
