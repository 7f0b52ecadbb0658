import type { IncomingMessage, ServerResponse } from 'node:http';
import { Problem } from './problem.ts';

const LONGEST_BODY_BYTES = 256 * 1024;

export interface Exchange {
  /** The path's variable parts, decoded. */
  readonly params: readonly string[];
  readonly query: URLSearchParams;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Answers by returning what becomes the JSON body of a 200 (204 for undefined), by throwing, or not at all. */
export type Handler = (exchange: Exchange) => Promise<unknown>;

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Such as `/faults/:id`. */
  readonly path: string;
  readonly handler: Handler;
}

/** Returned by a handler that wants the caller to wait for ever, or that has cut the connection. */
export const noAnswer = Symbol('no answer');

/** Dispatches requests to `routes`: raw node:http, because a load of orders shares the machine with this process. */
export function router(routes: readonly Route[]): (request: IncomingMessage, response: ServerResponse) => void {
  const table = routes.map((route) => ({ ...route, pattern: patternOf(route.path) }));

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://sandbox');
    const matching = table.filter(({ pattern }) => pattern.test(url.pathname));
    const route = matching.find(({ method }) => method === request.method);
    if (!route) {
      const methods = matching.map(({ method }) => method).join(', ');
      if (methods) throw new Problem(405, 'method_not_allowed', `${url.pathname} takes ${methods}`);
      throw new Problem(404, 'no_such_path', `there is nothing at ${url.pathname}`);
    }
    const params = (route.pattern.exec(url.pathname) ?? []).slice(1).map(decode);
    const body = await route.handler({ params, query: url.searchParams, request, response });
    if (body !== noAnswer) send(response, body === undefined ? 204 : 200, body);
  }

  return (request, response) => {
    answer(request, response).catch((error: unknown) => sendProblem(response, error));
  };
}

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replaceAll(/:\w+/g, '([^/]+)')}$`);
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Problem(400, 'malformed', `'${part}' in the path is not URL-encoded`);
  }
}

/** Reads a JSON body. Throws a `Problem` (400, 413). */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > LONGEST_BODY_BYTES) {
      throw new Problem(413, 'too_large', `a body may have ${LONGEST_BODY_BYTES} bytes at most`);
    }
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new Problem(400, 'malformed', 'the body is not JSON');
  }
}

function send(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  if (response.headersSent || response.destroyed) return;
  const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  const content = bytes && { 'content-type': 'application/json', 'content-length': bytes.length };
  response.writeHead(status, { ...content, ...headers });
  response.end(bytes);
}

function sendProblem(response: ServerResponse, error: unknown): void {
  const problem = error instanceof Problem ? error : new Problem(500, 'internal', String(error));
  const { status, code, message: detail, retryAfterSeconds } = problem;
  const wait = retryAfterSeconds === undefined ? undefined : { 'retry-after': String(retryAfterSeconds) };
  send(response, status, { status, code, detail }, { 'content-type': 'application/problem+json', ...wait });
}
