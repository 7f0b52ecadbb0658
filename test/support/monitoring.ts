/** A real Prometheus with the program's own configuration, in a hurry, that watches a stack. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { freePort } from '../../src/embedded/ports.ts';
import { startPrometheus } from './prometheus-server.ts';

const configFile = fileURLToPath(new URL('../../ops/prometheus/prometheus.yml', import.meta.url));

const answer = z.object({
  status: z.literal('success'),
  data: z.object({
    result: z.array(z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) })),
  }),
});

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Monitoring {
  /** What an expression is worth now. */
  query(expr: string): Promise<Sample[]>;
  /** Names of the alerts that fire, of those whose names match, each with its severity, in order. */
  firing(names: RegExp): Promise<string[]>;
  stop(): Promise<void>;
}

export interface MonitoringOptions {
  readonly executable: string;
  /** Of each scrape job, host:port of its processes; of Prometheus' own none. */
  readonly targets: Readonly<Record<string, readonly string[]>>;
  readonly alertmanager: string;
  /** What `generate` made. */
  readonly rules: readonly { readonly path: string; readonly text: string }[];
}

/**
 * Starts it: the jobs and settings of ops/prometheus/prometheus.yml, evaluating each second. It scrapes every other one,
 * since no scrape may take longer than from one to the next: `/metrics` may take two, and so it does on a busy machine.
 */
export async function startMonitoring({
  executable,
  targets,
  alertmanager,
  rules,
}: MonitoringOptions): Promise<Monitoring> {
  const folder = await mkdtemp(join(tmpdir(), 'evenkeel-prometheus-'));
  const address = `127.0.0.1:${await freePort()}`;
  const config = parse(await readFile(configFile, 'utf8')) as {
    global: Record<string, string>;
    alerting: unknown;
    scrape_configs: { job_name: string }[];
  };
  config.global = { scrape_interval: '2s', scrape_timeout: '2s', evaluation_interval: '1s' };
  config.alerting = { alertmanagers: [{ static_configs: [{ targets: [alertmanager] }] }] };
  config.scrape_configs = config.scrape_configs.map(({ job_name: job }) => ({
    job_name: job,
    static_configs: [{ targets: job === 'prometheus' ? [address] : (targets[job] ?? []) }],
  }));
  for (const { path, text } of rules) {
    if (path.startsWith('prometheus/')) await writeFile(join(folder, basename(path)), text);
  }
  const server = await startPrometheus({ executable, folder, address, config: stringify(config) });

  async function query(expr: string): Promise<Sample[]> {
    const response = await fetch(`${server.url}/api/v1/query?${new URLSearchParams({ query: expr }).toString()}`);
    const { data } = answer.parse(await response.json());
    return data.result.map(({ metric, value: [, value] }) => ({ labels: metric, value: Number(value) }));
  }
  return {
    query,
    async stop() {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
    async firing(names) {
      const alerts = await query(`ALERTS{alertstate="firing", alertname=~${JSON.stringify(names.source)}}`);
      return [...new Set(alerts.map(({ labels }) => `${labels['alertname']} ${labels['severity']}`))].toSorted();
    },
  };
}
