import { readConfig, requirePeers } from '../config.ts';
import { startWorker } from '../run-worker.ts';
import { createLogger } from '../telemetry/log.ts';
import { sdkMetricsOf, withApp } from '../with-app.ts';
import { installRuntime } from '../workers/worker.ts';
import { type Run, wantsHelp } from './command.ts';

/** `evenkeel worker`: one worker; start as many as the load needs. */
export const run: Run = async (args, io) => {
  if (wantsHelp(args, io, 'usage: evenkeel worker\n\nRuns a worker. Settings: evenkeel help config.\n')) return 0;
  const config = requirePeers(readConfig(io.env));
  const log = createLogger(config.EVENKEEL_LOG_LEVEL);
  installRuntime(log, sdkMetricsOf(config));
  return withApp(config, log, 'worker', async (app) => {
    const { stopped } = await startWorker(app, io.signal);
    io.stderr.write('evenkeel worker runs\n');
    await stopped;
    return 0;
  });
};
