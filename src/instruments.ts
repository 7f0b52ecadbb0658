import { readFileSync } from 'node:fs';
import type { ClientInterceptors } from '@temporalio/client';
import type { StoreObserver } from './adapters/postgres/database.ts';
import type { Config } from './config.ts';
import type { Log } from './telemetry/log.ts';
import { type Metrics, createMetrics } from './telemetry/metrics.ts';
import type { Tracing } from './telemetry/spans.ts';
import { storeMetrics } from './telemetry/store-metrics.ts';
import { storeSpans } from './telemetry/store-spans.ts';
import { clientInterceptor } from './telemetry/temporal-interceptors.ts';
import { clientMetrics } from './telemetry/temporal-metrics.ts';
import { startTracing } from './telemetry/tracing.ts';

/** What a process runs: the API, a worker, or both. */
export type Role = 'api' | 'worker' | 'all';

/** All that watches the work and takes no part in it. */
export interface Instruments {
  readonly role: Role;
  readonly version: string;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly store: StoreObserver;
  readonly client: ClientInterceptors;
}

/** Makes a process's instruments. What is read from records is exported by processes that run the API. */
export function createInstruments(config: Config, log: Log, role: Role): Instruments {
  const version = versionOf();
  const metrics = createMetrics(role === 'worker' ? ['process'] : ['process', 'records']);
  const tracing = startTracing({
    endpoint: config.OTEL_EXPORTER_OTLP_ENDPOINT,
    ratio: config.OTEL_TRACES_SAMPLER_ARG,
    service: role === 'all' ? 'evenkeel' : `evenkeel-${role}`,
    version,
    log,
  });
  const counted = storeMetrics(metrics);
  const traced = storeSpans(tracing);
  return {
    role,
    version,
    log,
    metrics,
    tracing,
    store: {
      statement(statement) {
        counted.statement(statement);
        traced.statement(statement);
      },
      changed: counted.changed,
    },
    client: { workflow: [clientInterceptor(tracing), clientMetrics(metrics)] },
  };
}

function versionOf(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { readonly version: string }).version;
}
