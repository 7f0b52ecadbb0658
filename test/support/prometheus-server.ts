/** A real Prometheus of a test's own, on a free port of loopback. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from './wait.ts';

/** Whatever runs; the last resort where a test process ends without having stopped it. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export interface PrometheusServer {
  readonly url: string;
  stop(): Promise<void>;
}

export interface PrometheusOptions {
  readonly executable: string;
  /** Of its configuration and, in `data`, of its blocks. */
  readonly folder: string;
  /** host:port */
  readonly address: string;
  /** Text of its configuration. */
  readonly config: string;
}

/** Starts it; resolves once it answers. Throws with what it said if it ends instead. */
export async function startPrometheus(options: PrometheusOptions): Promise<PrometheusServer> {
  const { executable, folder, address, config } = options;
  await writeFile(join(folder, 'prometheus.yml'), config);
  const child = spawn(
    executable,
    [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      // What a test writes may be as old as it likes.
      '--storage.tsdb.retention.time=100y',
      `--web.listen-address=${address}`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  running.add(child);
  const said: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => said.push(text));
  const url = `http://${address}`;
  async function stop(): Promise<void> {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    running.delete(child);
  }
  try {
    await waitFor('Prometheus is ready', async () => {
      if (child.exitCode !== null) throw new Error(`Prometheus ended:\n${said.join('')}`);
      return (await fetch(`${url}/-/ready`).catch(() => undefined))?.ok;
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, stop };
}
