import type { IncomingMessage, ServerResponse } from 'node:http';
import { Registry } from 'prom-client';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { shared } from '../telemetry/shared.ts';
import type { Readiness } from './readiness.ts';
import { ListenError, type Listening, listen } from './server.ts';

/** Where Prometheus looks for OpenTelemetry's exporters by convention. */
const USUAL_PORT = 9464;
/** Less than Prometheus' usual time-out of 10 s: what could not be read by then is left as it was. */
const LONGEST_READ_MS = 5_000;
const settings = { host: 'EVENKEEL_METRICS_HOST', port: 'EVENKEEL_METRICS_PORT' };

/** What one source of metrics must have for a scrape. */
type Scraped = Pick<Metrics, 'registry' | 'collect'>;

export interface MetricsAddress {
  readonly host: string;
  /** 0 takes a free one; undefined takes 9464 or, where that is taken, a free one. */
  readonly port: number | undefined;
}

/**
 * Serves what is for operations alone until it is closed: all of `sources` at `/metrics` in Prometheus' text format,
 * `/livez`, and `/readyz` with everything that is missing, once `ready` tells of it: a process that serves nothing has
 * none. A scrape that fails is answered with 500. Readers that fail or take too long are told in the log: the others'
 * metrics are served. Throws `ListenError` where the configured port is taken.
 */
export async function serveMetrics(
  sources: readonly Scraped[],
  address: MetricsAddress,
  log: Log,
  ready: () => Promise<Readiness> | undefined = () => undefined,
): Promise<Listening> {
  const scrape = shared(async () => {
    await within(LONGEST_READ_MS, Promise.all(sources.map((source) => source.collect()))).catch((err: unknown) => {
      log.warn({ err }, 'some metrics could not be read');
    });
    return Registry.merge(sources.map(({ registry }) => registry)).metrics();
  });
  const answer = async ({ method, url }: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = method === 'GET' ? url?.split('?', 1)[0] : undefined;
    if (path === '/livez') return say(response, 200, 'alive\n');
    const readiness = path === '/readyz' ? await ready() : undefined;
    if (readiness !== undefined) {
      const isReady = readiness.status === 'ready' || readiness.status === 'degraded';
      return say(response, isReady ? 200 : 503, JSON.stringify(readiness), 'application/json');
    }
    if (path !== '/metrics') return say(response, 404, 'there is /metrics, /livez and, where the API is, /readyz\n');
    try {
      say(response, 200, await scrape(), Registry.PROMETHEUS_CONTENT_TYPE);
    } catch (err) {
      log.error({ err }, 'scrape failed');
      say(response, 500, 'the metrics cannot be shown; the log says why\n');
    }
  };
  const server = await listenAt(address, (request, response) => void answer(request, response));
  log.info({ url: `${server.url}/metrics` }, 'metrics are served');
  return server;
}

async function listenAt({ host, port }: MetricsAddress, app: Parameters<typeof listen>[0]): Promise<Listening> {
  // Nothing but a scrape is ever in flight.
  const options = { host, settings, drainMs: 1_000 };
  if (port !== undefined) return listen(app, { ...options, port });
  try {
    return await listen(app, { ...options, port: USUAL_PORT });
  } catch (error) {
    if (!isTaken(error)) throw error;
    return listen(app, { ...options, port: 0 });
  }
}

function isTaken(error: unknown): boolean {
  return error instanceof ListenError && (error.cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const { promise: overdue, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`no answer in ${ms} ms`)), ms);
  try {
    await Promise.race([work, overdue]);
  } finally {
    clearTimeout(timer);
  }
}

function say(response: ServerResponse, status: number, text: string, contentType = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, { 'content-type': contentType, 'cache-control': 'no-store' }).end(text);
}
