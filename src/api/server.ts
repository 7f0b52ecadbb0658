import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ListenOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** What an operator sets them by, for the message. Default: the API's. */
  readonly settings?: { readonly host: string; readonly port: string };
  /** How long `close` lets requests in flight finish, in milliseconds. Default 10 s. */
  readonly drainMs?: number;
  /** How long `close` goes on accepting before, so that balancers learn it is going: of `drainMs`. Default 0. */
  readonly announceMs?: number;
  readonly limits?: ServerLimits;
}

/** What one who means harm, or has a bug, can hold of a server. */
export interface ServerLimits {
  /** Within which the headers of a request must be there, in milliseconds. */
  readonly headersMs: number;
  /** The same for a whole request. */
  readonly requestMs: number;
  /** How often these two are looked at. */
  readonly lookEveryMs: number;
  /** At a time; one more is closed at once. */
  readonly connections: number;
}

/** Each connection costs some 20 KB, as many as may be about 80 MB. */
const usual: ServerLimits = { headersMs: 10_000, requestMs: 30_000, lookEveryMs: 5_000, connections: 4_096 };

export interface Listening {
  /** `http://host:port`, with the port that was taken. */
  readonly url: string;
  /**
   * Tells whoever keeps a connection that it is the last answer on it, then stops accepting, lets requests in flight
   * finish, and after `drainMs` breaks off what is left.
   */
  close(): Promise<void>;
}

const apiSettings = { host: 'EVENKEEL_HTTP_HOST', port: 'EVENKEEL_HTTP_PORT' };

/** Thrown when the address cannot be listened on; names the setting. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

/**
 * Serves `app`. A slow sender is cut off, so that it holds no connection for ever, and there are so many connections and
 * no more. Throws `ListenError`.
 */
export async function listen(app: RequestListener, options: ListenOptions): Promise<Listening> {
  const { host, port, settings = apiSettings, drainMs = 10_000, announceMs = 0, limits = usual } = options;
  let closing = false;
  const inFlight = new Set<ServerResponse>();
  const server = createServer(
    {
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: 65_000,
      connectionsCheckingInterval: limits.lookEveryMs,
    },
    (request, response) => {
      inFlight.add(response);
      if (closing) response.setHeader('connection', 'close');
      response.once('close', () => {
        inFlight.delete(response);
        // A connection kept alive would hold up the close once its request is done.
        if (closing && !server.listening) setImmediate(() => server.closeIdleConnections());
      });
      app(request, response);
    },
  );
  server.maxConnections = limits.connections;
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    // What is written now would stand in the middle of an answer that has begun.
    const begun = [...inFlight].some((response) => response.socket === socket && response.headersSent);
    if (begun) socket.destroy();
    else answerUnreadable(error, socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explain(error, { host, port, settings })));
    server.listen(port, host, resolve);
  });
  return {
    url: urlOf(server.address(), host),
    async close() {
      closing = true;
      for (const response of inFlight) if (!response.headersSent) response.setHeader('connection', 'close');
      const bound = setTimeout(() => server.closeAllConnections(), drainMs);
      if (announceMs > 0) await sleep(Math.min(announceMs, drainMs));
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await closed;
      clearTimeout(bound);
    },
  };
}

/** What is too slow, too long or no HTTP never reaches the app; it gets a problem detail all the same. */
function answerUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, title] =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? ['408', 'Request Timeout']
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? ['431', 'Request Header Fields Too Large']
        : ['400', 'Bad Request'];
  const body = JSON.stringify({ type: 'about:blank', title, status: Number(status) });
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\nConnection: close\r\nContent-Type: application/problem+json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
}

function explain(
  error: NodeJS.ErrnoException,
  { host, port, settings }: Required<Pick<ListenOptions, 'host' | 'port' | 'settings'>>,
): ListenError {
  const reason =
    error.code === 'EADDRINUSE'
      ? `port ${port} of ${host} is taken; set ${settings.port} to a free one, or to 0 for any`
      : error.code === 'EACCES'
        ? `port ${port} of ${host} is not allowed to this user; set ${settings.port} to one above 1023`
        : `cannot listen on port ${port} of ${host} (${error.message}); check ${settings.host} and ${settings.port}`;
  return new ListenError(reason, { cause: error });
}

function urlOf(address: AddressInfo | string | null, host: string): string {
  if (address === null || typeof address === 'string') throw new Error('a TCP server has an address');
  return `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`;
}
