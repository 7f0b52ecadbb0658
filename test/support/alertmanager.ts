/** A real Alertmanager with the program's own configuration and start script, in a hurry. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../src/embedded/ports.ts';
import type { AlertReceivers } from './alert-receivers.ts';
import { waitFor } from './wait.ts';

export const alertmanagerFolder = fileURLToPath(new URL('../../ops/alertmanager', import.meta.url));

/** Whatever runs; the last resort where a test process ends without having stopped it. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export interface Alertmanager {
  readonly url: string;
  /** host:port, as Prometheus' configuration wants it. */
  readonly address: string;
  stop(): Promise<void>;
}

/** Starts it with webhooks and mail going to `receivers`, and groups told at once instead of after seconds or minutes. */
export async function startAlertmanager(executable: string, receivers: AlertReceivers): Promise<Alertmanager> {
  const folder = await mkdtemp(join(tmpdir(), 'evenkeel-alertmanager-'));
  const config = await readFile(join(alertmanagerFolder, 'alertmanager.yml'), 'utf8');
  const hurried = config
    .replaceAll(/group_(wait|interval): \S+/g, 'group_$1: 1s')
    .replace(/smtp_smarthost: .*/, `smtp_smarthost: '${receivers.smtp}'`);
  await writeFile(join(folder, 'alertmanager.yml'), hurried);
  for (const [name, url] of Object.entries(receivers.urls)) await writeFile(join(folder, name), `${url}\n`);
  const address = `127.0.0.1:${await freePort()}`;
  const child = spawn(
    join(alertmanagerFolder, 'start.sh'),
    [`--web.listen-address=${address}`, '--cluster.listen-address=', `--storage.path=${join(folder, 'data')}`],
    {
      env: {
        PATH: process.env['PATH'],
        CONFIG: join(folder, 'alertmanager.yml'),
        RENDERED: join(folder, 'rendered.yml'),
        URLS_DIR: folder,
        ALERTMANAGER: executable,
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  running.add(child);
  const said: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => said.push(text));
  const url = `http://${address}`;
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    running.delete(child);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await waitFor('Alertmanager is ready', async () => {
      if (child.exitCode !== null) throw new Error(`Alertmanager ended:\n${said.join('')}`);
      return (await fetch(`${url}/-/ready`).catch(() => undefined))?.ok;
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, address, stop };
}
