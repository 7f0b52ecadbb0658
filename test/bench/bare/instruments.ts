/** In the place of src/instruments.ts: a process that nobody watches. */
import type { Instruments, Role } from '../../../src/instruments.ts';
import type { Config } from '../../../src/config.ts';
import type { Log } from '../../../src/telemetry/log.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { noTracing } from '../../../src/telemetry/spans.ts';

export function createInstruments(_config: Config, log: Log, role: Role): Instruments {
  return { role, version: 'bare', log, metrics: createMetrics([]), tracing: noTracing, store: {}, client: {} };
}
