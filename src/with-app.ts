import { type Temporal, connectTemporal } from './adapters/temporal/connection.ts';
import type { Readiness } from './api/readiness.ts';
import { serveMetrics } from './api/metrics-server.ts';
import { type App, createApp } from './app.ts';
import type { Config, WiredConfig } from './config.ts';
import { DomainFailure } from './domain/failures.ts';
import { createOutage } from './delivery/outage.ts';
import { type Role, createInstruments } from './instruments.ts';
import { runBreakerSync } from './resilience/breaker-sync.ts';
import type { Log } from './telemetry/log.ts';
import type { RuntimeOptions } from './workers/worker.ts';
import { certificateMetrics } from './telemetry/certificates.ts';
import { processMetrics } from './telemetry/process-metrics.ts';
import { recordMetrics } from './telemetry/record-metrics.ts';

/** Where the SDK serves its own metrics, as the settings say. */
export function sdkMetricsOf({ EVENKEEL_METRICS_HOST: host, EVENKEEL_SDK_METRICS_PORT: port }: Config): RuntimeOptions {
  return port === 0 ? {} : { sdkMetrics: `${host.includes(':') ? `[${host}]` : host}:${port}` };
}

export type RunningApp = App & {
  readonly metricsUrl: string;
  /** From now on operations are told of it, beside the metrics. */
  tellReadiness(readiness: () => Promise<Readiness>): void;
};

/** Wires a process, serves its metrics while `work` runs, and closes everything after it, whatever came of it. */
export async function withApp<T>(
  config: WiredConfig,
  log: Log,
  role: Role,
  work: (app: RunningApp) => Promise<T>,
): Promise<T> {
  const instruments = createInstruments(config, log, role);
  const { client, metrics, tracing, version } = instruments;
  try {
    const temporal = await connectTemporal(config, role === 'api' ? 'client' : 'worker', client);
    const app = createApp(config, temporal, instruments);
    try {
      await requireGateways(app);
      processMetrics(metrics, { version, pool: () => app.db.pool() });
      certificateMetrics(metrics, {
        temporal: () => temporalCertificateEnd(temporal),
        postgres: () => app.db.certificateExpiresAt(),
        rabbitmq: () => app.broker?.certificateExpiresAt(),
      });
      if (role !== 'worker') readRecords(app);
      const address = { host: config.EVENKEEL_METRICS_HOST, port: config.EVENKEEL_METRICS_PORT };
      let readiness: (() => Promise<Readiness>) | undefined;
      const served = await serveMetrics([metrics], address, log, () => readiness?.());
      const over = new AbortController();
      const outage = createOutage('breakers of the fleet', log);
      const inTouch = runBreakerSync(app.breakers, app.breakerStore, outage, over.signal);
      try {
        return await work({
          ...app,
          metricsUrl: `${served.url}/metrics`,
          tellReadiness: (now) => (readiness = now),
        });
      } finally {
        over.abort();
        await inTouch;
        await served.close();
      }
    } finally {
      await app.close();
    }
  } finally {
    await tracing.stop();
  }
}

/** Where the store is away it cannot be told; then nothing can be asked of a gateway either. */
async function requireGateways({ requireKnownGateways, log }: App): Promise<void> {
  try {
    await requireKnownGateways();
  } catch (error) {
    if (!(error instanceof DomainFailure)) throw error;
    log.warn({ err: error }, 'not known whether payments are with a gateway that the settings do not name');
  }
}

async function temporalCertificateEnd(temporal: Temporal): Promise<Date | undefined> {
  const probed = await temporal.probe();
  return probed !== undefined && 'expiresAt' in probed ? probed.expiresAt : undefined;
}

/** What stands where, from PostgreSQL and Temporal: true while every worker is dead. */
function readRecords({
  apiKeys,
  breakerStore,
  config,
  facts,
  instruments: { log, metrics },
  slo,
  taskQueues,
}: App): void {
  const { EVENKEEL_STORE_LIMIT_GIB: gib } = config;
  const storeLimitBytes = gib === undefined ? undefined : gib * 2 ** 30;
  const records = recordMetrics({
    apiKeys,
    breakers: breakerStore,
    facts,
    taskQueues,
    slo,
    metrics,
    storeLimitBytes,
    log,
  });
  metrics.onScrape(() => records.refresh());
}
