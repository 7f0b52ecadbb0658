import { once } from 'node:events';
import { createServer } from 'node:net';
import { randomBytes } from 'node:crypto';
import { NativeConnection } from '@temporalio/worker';
import { expect, inject, onTestFinished, test } from 'vitest';
import type { Activities } from '../../src/activities/activities.ts';
import { ListenError } from '../../src/api/server.ts';
import { freePort } from '../../src/embedded/ports.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { workflowBundle } from '../../src/workers/bundle.ts';
import { createWorker, installRuntime, runWorker } from '../../src/workers/worker.ts';
import { waitFor } from '../support/wait.ts';

const log = createLogger('silent');

test("a port for the SDK's metrics that is taken is refused, with the name of its setting", async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const install = (): void => installRuntime(log, { sdkMetrics: `127.0.0.1:${port}` });
  expect(install).toThrow(ListenError);
  expect(install).toThrow(/EVENKEEL_SDK_METRICS_PORT/);
});

test("a worker shows the SDK's metrics by our conventions, fine enough for steps of milliseconds", async () => {
  const port = await freePort();
  installRuntime(log, { sdkMetrics: `127.0.0.1:${port}` });
  // Nobody else's tasks.
  const namespace = `sdk-${randomBytes(6).toString('hex')}`;
  const connection = await NativeConnection.connect({ address: inject('temporalAddress') });
  await connection.workflowService.registerNamespace({
    namespace,
    workflowExecutionRetentionPeriod: { seconds: 24 * 3600 } as never,
  });
  const stop = new AbortController();
  const worker = await createWorker({
    connection,
    namespace,
    activities: {} as Activities,
    bundle: await workflowBundle(),
    log,
    maxConcurrentSteps: 1,
    metrics: createMetrics(['process']),
  });
  const running = runWorker(worker, stop.signal);
  const page = async (): Promise<string> => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const text = await waitFor('the worker asks for work', async () => {
    const shown = await page();
    return shown.includes('temporal_num_pollers') && shown.includes('temporal_worker_task_slots_available') && shown;
  });
  stop.abort();
  await running;
  await connection.close();
  expect(text).toMatch(/^temporal_request_total\{[^}]*operation="/m);
  expect(text).toMatch(/^temporal_request_latency_seconds_bucket\{[^}]*le="0.005"/m);
  expect(text).not.toContain('service_name=');
});
