import { Socket } from 'node:net';
import { main } from './cli.ts';

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (stop.signal.aborted) process.exit(130);
    stop.abort(new Error(signal));
  });
}
// Whoever read the output is gone (`evenkeel orders | head`): there is nobody to work for.
let outputLost = false;
for (const output of [process.stdout, process.stderr]) {
  output.on('error', (error) => {
    outputLost = true;
    stop.abort(error);
  });
}
// The launcher (bin/evenkeel.js) holds the other end: its end is ours, even if it could not say so.
const { EVENKEEL_LAUNCHER_FD: launcher, ...env } = process.env;
if (launcher !== undefined) {
  // Not for the processes that this one starts.
  delete process.env['EVENKEEL_LAUNCHER_FD'];
  const pipe = new Socket({ fd: Number(launcher) }).unref();
  pipe.on('close', () => stop.abort(new Error('the launcher is gone')));
  pipe.resume();
}
const code = await main(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env,
  signal: stop.signal,
});
process.exitCode = outputLost ? 1 : code;
