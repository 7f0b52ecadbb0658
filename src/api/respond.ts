import type { Response } from 'express';
import helmet from 'helmet';
import { type ApiProblem, problemBody } from './problems.ts';
import type { Answer, Route } from './route.ts';

/** For every answer; a page sets a policy of its own. `no-store`: orders are nobody else's to keep. */
const always = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/**
 * For what a browser shows as a page. Its policy is the page's own, and that it comes over TLS only is the ingress's to
 * say: we do not know whether it does.
 */
const protectPage = helmet({
  contentSecurityPolicy: false,
  strictTransportSecurity: false,
  xFrameOptions: { action: 'deny' },
});

/** Sends what a handler answered. JSON is exactly `JSON.stringify` of the value, which a stored answer repeats. */
export function send(response: Response, route: Route, { status, headers, json, bytes }: Answer): void {
  const body = bytes ?? (json === undefined ? undefined : JSON.stringify(json));
  const contentType = route.answers[status]?.contentType ?? 'application/json; charset=utf-8';
  if (contentType.startsWith('text/html')) protectPage(response.req, response, () => undefined);
  write(response, status, { ...(body === undefined ? {} : { 'content-type': contentType }), ...headers }, body);
}

export function sendProblem(response: Response, problem: ApiProblem, instance: string, traceId: string): void {
  const body = JSON.stringify(problemBody(problem, instance, traceId));
  write(response, problem.status, { ...problem.headers, 'content-type': 'application/problem+json' }, body);
}

function write(
  response: Response,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string | Buffer | undefined,
): void {
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  response.writeHead(status, { ...always, ...headers, ...length });
  response.end(body);
}
