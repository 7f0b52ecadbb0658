/** A past that never was, in a real Prometheus: samples with their times, and rules evaluated over all of it. */
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { freePort } from '../../src/embedded/ports.ts';
import { run } from '../../src/embedded/run.ts';
import type { RecordingRule, RuleGroup } from '../../src/slo/rules.ts';
import { prometheusTools } from './prometheus-tools.ts';
import { type PrometheusServer, startPrometheus } from './prometheus-server.ts';

export interface PastSeries {
  /** Ends with `_total`: all are counters. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** In the order of their times, which are in seconds. */
  readonly samples: readonly (readonly [time: number, value: number])[];
}

/** Values by their times, in seconds, of one series. */
export interface Range {
  readonly labels: Readonly<Record<string, string>>;
  readonly values: ReadonlyMap<number, number>;
}

export interface History {
  /** Evaluates an expression at each of regular moments. */
  range(expr: string, from: number, until: number, stepSeconds: number): Promise<readonly Range[]>;
  /** The moments at which the rules were evaluated, and whether there is a sample of each. */
  readonly moments: readonly { readonly at: number; readonly isRecorded: boolean }[];
  close(): Promise<void>;
}

const answer = z.object({
  status: z.literal('success'),
  data: z.object({
    result: z.array(
      z.object({
        metric: z.record(z.string(), z.string()),
        values: z.array(z.tuple([z.number(), z.string()])),
      }),
    ),
  }),
});

/** Makes blocks of the series, then of what `group` records of them, every `everySeconds`, and serves both. */
export async function startHistory(
  series: readonly PastSeries[],
  group: RuleGroup<RecordingRule>,
  everySeconds: number,
): Promise<History> {
  const { prometheus: executable, promtool } = prometheusTools();
  const folder = await mkdtemp(join(tmpdir(), 'evenkeel-history-'));
  const data = join(folder, 'data');
  await mkdir(data);
  const start = async (): Promise<PrometheusServer> =>
    startPrometheus({ executable, folder, address: `127.0.0.1:${await freePort()}`, config: 'scrape_configs: []\n' });
  const tsdb = async (...args: readonly string[]): Promise<void> => {
    const { code, output } = await run(promtool, ['tsdb', 'create-blocks-from', ...args]);
    if (code !== 0) throw new Error(`promtool could not make blocks:\n${output}`);
  };
  const times = series.flatMap(({ samples }) => samples.map(([time]) => time));
  const [first, last] = times.reduce(([low, high], time) => [Math.min(low, time), Math.max(high, time)], [Infinity, 0]);
  const from = Math.ceil(first / everySeconds) * everySeconds;

  await writeFile(join(folder, 'samples.txt'), openMetrics(series));
  await tsdb('openmetrics', join(folder, 'samples.txt'), data);
  await writeFile(join(folder, 'rules.yml'), stringify({ groups: [group] }));
  let server = await start();
  try {
    const span = [`--start=${from}`, `--end=${Math.floor(last)}`, `--url=${server.url}`];
    const made = join(folder, 'recorded');
    await tsdb('rules', ...span, `--output-dir=${made}`, `--eval-interval=${everySeconds}s`, join(folder, 'rules.yml'));
    await server.stop();
    await cp(made, data, { recursive: true });
    server = await start();
  } catch (error) {
    await server.stop();
    throw error;
  }

  async function range(expr: string, begin: number, until: number, stepSeconds: number): Promise<readonly Range[]> {
    const asked = { query: expr, start: begin.toFixed(3), end: until.toFixed(3), step: String(stepSeconds) };
    const response = await fetch(`${server.url}/api/v1/query_range`, {
      method: 'POST',
      body: new URLSearchParams(asked),
    });
    if (!response.ok) throw new Error(`Prometheus refuses ${expr}:\n${await response.text()}`);
    const { result } = answer.parse(await response.json()).data;
    return result.map(({ metric, values }) => ({
      labels: metric,
      values: new Map(values.map(([time, value]) => [exact(time), Number(value)])),
    }));
  }
  /** A group has a moment of its own within its interval. Where promtool begins a new block it may leave one out. */
  async function evaluated(): Promise<readonly { readonly at: number; readonly isRecorded: boolean }[]> {
    const stamps = `timestamp(${group.rules[0]?.record ?? ''})`;
    const [some] = await range(stamps, from, Math.floor(last), everySeconds);
    const phase = ([...(some?.values.values() ?? [])].at(-1) ?? from) % everySeconds;
    const begin = from + phase;
    const [whole] = await range(stamps, begin, Math.floor(last), everySeconds);
    const count = Math.floor((last - begin) / everySeconds);
    return Array.from({ length: count }, (_, index) => {
      const at = exact(begin + index * everySeconds);
      return { at, isRecorded: exact(whole?.values.get(at) ?? 0) === at };
    });
  }
  return {
    range,
    moments: await evaluated(),
    async close() {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** To the millisecond, which is as exact as Prometheus is. */
function exact(seconds: number): number {
  return Number(seconds.toFixed(3));
}

function openMetrics(series: readonly PastSeries[]): string {
  const names = [...new Set(series.map(({ name }) => name))];
  const lines = names.flatMap((name) => [
    `# TYPE ${name.replace(/_total$/, '')} counter`,
    ...series
      .filter((each) => each.name === name)
      .flatMap(({ labels, samples }) => {
        const text = Object.entries(labels).map(([label, value]) => `${label}=${JSON.stringify(value)}`);
        return samples.map(([time, value]) => `${name}{${text.join(',')}} ${value} ${time.toFixed(3)}`);
      }),
  ]);
  return `${lines.join('\n')}\n# EOF\n`;
}
