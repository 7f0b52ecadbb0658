/** `parts-holder <dataDir> [temporalCliPath]`: a process that holds started parts until Ctrl-C, for tests to kill. */
import { startParts } from '../../src/embedded/start-parts.ts';
import { messageOf } from '../../src/embedded/parts-error.ts';
import { listener } from './listener.ts';

const [dataDir = '', cliPath] = process.argv.slice(2);
const stop = new AbortController();
process.on('SIGINT', () => stop.abort(new Error('interrupted')));
try {
  const parts = await startParts({
    dataDir,
    env: { ...process.env, TEMPORAL_CLI_PATH: cliPath },
    report: (line) => process.stderr.write(`${line}\n`),
    signal: stop.signal,
    postgres: { database: 'shop', settings: { fsync: 'off' } },
    temporal: cliPath === undefined ? undefined : { port: 0, uiPort: 0, namespace: 'default' },
    sandbox: { command: listener },
  });
  const { databaseUrl, temporalAddress, sandboxUrl } = parts;
  process.stdout.write(`${JSON.stringify({ databaseUrl, temporalAddress, sandboxUrl })}\n`);
  if (!stop.signal.aborted) await new Promise((resolve) => stop.signal.addEventListener('abort', resolve));
  await parts.stop();
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}
