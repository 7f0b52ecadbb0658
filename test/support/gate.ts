/** Stands before the sandbox and counts what comes by; shut, it takes no connection, as a host that is away. */
import {
  type IncomingMessage,
  type Server,
  type ServerResponse,
  createServer,
  request as httpRequest,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { freePort } from '../../src/embedded/ports.ts';

export class Gate {
  /** Where requests go, base URL; may be set once there is something behind it. */
  target = '';
  /** Requests so far, all of them or those of a path. */
  readonly asked: { readonly path: string }[] = [];
  /** The most that were unanswered at a time since this was last set. */
  most = 0;
  readonly #port: number;
  #server: Server | undefined;
  #inFlight = 0;

  private constructor(port: number) {
    this.#port = port;
  }

  /** Shut, on a port of its own. */
  static async create(): Promise<Gate> {
    return new Gate(await freePort());
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async open(): Promise<void> {
    if (this.#server) return;
    const server = createServer({ keepAliveTimeout: 75_000 }, (request, response) => this.#pass(request, response));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    if ((server.address() as AddressInfo).port !== this.#port) throw new Error(`the gate is not at ${this.url}`);
  }

  /** Whoever waits for an answer does not get it, whatever comes of the request. */
  async shut(): Promise<void> {
    const server = this.#server;
    if (!server) return;
    this.#server = undefined;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
  }

  #pass(request: IncomingMessage, response: ServerResponse): void {
    const { method, url = '/', headers } = request;
    this.asked.push({ path: url });
    this.most = Math.max(this.most, ++this.#inFlight);
    const passed = httpRequest(`${this.target}${url}`, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    passed.on('error', () => response.socket?.resetAndDestroy());
    request.pipe(passed);
    response.on('close', () => {
      this.#inFlight -= 1;
      // What came behind the gate goes on to its end there; only the one that nobody answers is let go.
      if (!response.writableFinished) passed.destroy();
    });
  }
}
