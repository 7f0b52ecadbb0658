import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { parseTraceparent, withTraceparent } from '../telemetry/trace-context.ts';
import { auditRoutes } from './audit.ts';
import { entryOf, requireAccess } from './access.ts';
import { CallerGone, readBody } from './body.ts';
import { breakerRoutes } from './breakers.ts';
import { callbackRoutes } from './callbacks.ts';
import { catalogRoutes } from './catalog.ts';
import { codecCors, codecRoutes } from './codec.ts';
import { consumerActionRoutes } from './consumer-actions.ts';
import { consumerRoutes } from './consumers.ts';
import { deadLetterRoutes } from './dead-letters.ts';
import type { ApiDeps } from './deps.ts';
import { docsRoutes } from './docs.ts';
import { erasureRoutes } from './erasure.ts';
import { eventRoutes } from './events.ts';
import { healthRoutes } from './health.ts';
import { orderChangeRoutes } from './order-changes.ts';
import { orderRoutes } from './orders.ts';
import { ApiProblem, toProblem } from './problems.ts';
import { quoteRoutes } from './quotes.ts';
import { redriveRoutes } from './redrives.ts';
import { RequestScope } from './request-scope.ts';
import { send, sendProblem } from './respond.ts';
import type { Route } from './route.ts';
import { sloRoutes } from './slos.ts';

/** The version of the API, not of the program. */
const version = '1.0.0';

/** All routes. What is not in this list does not exist; what is, is documented. */
export function apiRoutes(deps: ApiDeps): readonly Route[] {
  const described = [
    ...orderRoutes(deps),
    ...orderChangeRoutes(deps),
    ...eventRoutes(deps),
    ...consumerRoutes(deps),
    ...consumerActionRoutes(deps),
    ...redriveRoutes(deps),
    ...deadLetterRoutes(deps),
    ...catalogRoutes(deps),
    ...callbackRoutes(deps),
    ...auditRoutes(deps),
    ...erasureRoutes(deps),
    ...quoteRoutes(deps),
    ...breakerRoutes(deps),
    ...codecRoutes(deps),
    ...sloRoutes(deps),
    ...healthRoutes(deps),
  ];
  return [...described, ...docsRoutes(described, version)];
}

/**
 * Makes the HTTP API. Every answer that is no success is a problem detail (RFC 9457); each request runs in a trace of
 * its own and leaves one line in the log.
 */
export function createApi(deps: ApiDeps): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('case sensitive routing');
  app.enable('strict routing');

  const scopes = new WeakMap<Request, RequestScope>();
  const scopeOf = (request: Request): RequestScope => {
    const scope = scopes.get(request);
    if (scope === undefined) throw new Error('a request came past the first middleware');
    return scope;
  };

  app.use((request: Request, response: Response, next: NextFunction) => {
    scopes.set(request, new RequestScope(request, response, deps));
    next();
  });

  app.use('/codec', codecCors(deps.codecOrigins));

  const admit = async (request: Request, scope: RequestScope, route: Route): Promise<void> => {
    const caller = {
      authorization: request.headers.authorization,
      address: request.socket.remoteAddress ?? '',
      path: request.path,
      traceId: parseTraceparent(scope.traceparent)?.traceId ?? null,
    };
    scope.identity = await withTraceparent(scope.traceparent, () => requireAccess(deps, route, caller));
    if (route.audited === true) scope.entry = entryOf(route, caller, scope.identity);
  };

  for (const [path, routes] of Map.groupBy(apiRoutes(deps), (route) => route.path)) {
    const mounted = app.route(path.replace(/\{(\w+)\}/g, ':$1'));
    for (const route of routes) {
      mounted[route.method](async (request: Request, response: Response) => {
        const scope = scopeOf(request);
        scope.route = route.path;
        await admit(request, scope, route);
        const body = route.body ? await readBody(request, response) : Buffer.alloc(0);
        const raw = { path: request.params, query: request.query, headers: request.headers, body };
        const answer = await withTraceparent(scope.traceparent, () => route.run(raw, scope));
        send(response, route, answer);
      });
    }
    const allow = allowedMethods(routes);
    mounted.all((request: Request) => {
      scopeOf(request).route = path;
      throw new ApiProblem('method_not_allowed', `${request.method} is not for ${path}; use one of ${allow}`, {
        headers: { allow },
      });
    });
  }

  app.use((request: Request) => {
    throw new ApiProblem('not_found', `there is nothing at ${request.path}; /docs shows what there is`);
  });

  // Express tells an error handler by its four parameters.
  app.use((thrown: unknown, request: Request, response: Response, _next: NextFunction) => {
    const scope = scopeOf(request);
    const { traceId } = parseTraceparent(scope.traceparent) ?? { traceId: '' };
    const problem = problemOf(thrown, request);
    if (problem.status >= 500) {
      withTraceparent(scope.traceparent, () =>
        deps.log.error({ err: problem.cause ?? problem, code: problem.code, ...scope.fields }, problem.message),
      );
    }
    if (thrown instanceof CallerGone || response.headersSent) response.destroy();
    else sendProblem(response, problem, request.path, traceId);
  });
  return app;
}

function problemOf(thrown: unknown, request: Request): ApiProblem {
  // The router throws it for a path such as /v1/orders/%zz.
  if (thrown instanceof URIError) {
    return new ApiProblem('malformed_path', `the path ${request.path} cannot be decoded; encode % as %25`);
  }
  if (thrown instanceof CallerGone) return new ApiProblem('malformed_json', thrown.message, { cause: thrown });
  return toProblem(thrown);
}

function allowedMethods(routes: readonly Route[]): string {
  return routes
    .flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]))
    .toSorted()
    .join(', ');
}
