import { readConfig, requirePeers } from '../config.ts';
import { startApi } from '../run-api.ts';
import { createLogger } from '../telemetry/log.ts';
import { withApp } from '../with-app.ts';
import { type Run, wantsHelp } from './command.ts';

/** `evenkeel api`: the API alone. It starts, and takes orders, with Temporal away. */
export const run: Run = async (args, io) => {
  if (wantsHelp(args, io, 'usage: evenkeel api\n\nRuns the API. Settings: evenkeel help config.\n')) return 0;
  const config = requirePeers(readConfig(io.env));
  const log = createLogger(config.EVENKEEL_LOG_LEVEL);
  return withApp(config, log, 'api', async (app) => {
    const { url, stopped } = await startApi(app, io.signal);
    io.stderr.write(`evenkeel api listens on ${url}\n`);
    await stopped;
    return 0;
  });
};
