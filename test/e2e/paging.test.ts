/** The proof that somebody is woken up: a real Prometheus and Alertmanager, with time 60 times as fast as in life. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { freePort } from '../../src/embedded/ports.ts';
import { foreign } from '../../src/slo/dashboard-queries.ts';
import { loadObjectives } from '../../src/slo/files.ts';
import { generate } from '../../src/slo/generate.ts';
import { type AlertReceivers, type Notification, startAlertReceivers } from '../support/alert-receivers.ts';
import { type Alertmanager, startAlertmanager } from '../support/alertmanager.ts';
import { type Monitoring, startMonitoring } from '../support/monitoring.ts';
import type { Program } from '../support/program.ts';
import { ofOthers } from '../support/promql.ts';
import { prometheusTools } from '../support/prometheus-tools.ts';
import { useStack } from '../support/stack.ts';
import { waitFor } from '../support/wait.ts';

const TIME_SCALE = 60;

let objectivesDir: string;
let sdkPort: number;
const stack = useStack(async () => {
  objectivesDir = await lenientObjectives();
  sdkPort = await freePort();
  return { env: { EVENKEEL_SLO_DIR: objectivesDir, EVENKEEL_SDK_METRICS_PORT: String(sdkPort) } };
});

let receivers: AlertReceivers;
let alertmanager: Alertmanager;
let prometheus: Monitoring;
beforeAll(async () => {
  const tools = prometheusTools();
  receivers = await startAlertReceivers();
  alertmanager = await startAlertmanager(tools.alertmanager, receivers);
  const { objectives } = await loadObjectives(objectivesDir);
  prometheus = await startMonitoring({
    executable: tools.prometheus,
    targets: {
      'evenkeel-api': [metricsOf(stack().api)],
      'evenkeel-worker': [metricsOf(stack().worker)],
      'evenkeel-sdk': [`127.0.0.1:${sdkPort}`],
      alertmanager: [alertmanager.address],
    },
    alertmanager: alertmanager.address,
    rules: generate({ objectives, timeScale: TIME_SCALE }),
  });
});
afterAll(async () => {
  await prometheus?.stop();
  await alertmanager?.stop();
  await receivers?.close();
  await rm(objectivesDir, { recursive: true, force: true });
});

/** A copy of the objectives in which an order may take as long as it does on a machine that does ten things at once. */
async function lenientObjectives(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'evenkeel-slo-'));
  await cp(fileURLToPath(new URL('../../ops/slo', import.meta.url)), folder, { recursive: true });
  const file = join(folder, 'order-processing.yaml');
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace('evenkeel.dev/threshold: 500ms', 'evenkeel.dev/threshold: 60s'));
  return folder;
}

/** host:port of a program's metrics, as its log says. */
function metricsOf(program: Program): string {
  const line = program.log.find(({ msg }) => msg === 'metrics are served');
  return new URL(z.object({ url: z.string() }).parse(line).url).host;
}

/** What this is about. That a scrape took too long is told too, where minutes are seconds, and is no part of it. */
const OF_ORDERS = /OrderProcessing(BudgetBurn|NothingGood)/;
const pages = (status: Notification['status']): Notification[] =>
  receivers.notifications.filter(
    (each) => each.receiver === 'page' && each.status === status && OF_ORDERS.test(each.groupLabels['alertname'] ?? ''),
  );
const firing = async (): Promise<string[]> => prometheus.firing(OF_ORDERS);
const everything = async (): Promise<string[]> => prometheus.firing(/.+/);

/** Orders keep coming, hardly one a second, until it is told to stop; then resolves with all their ids. */
function flow(): { stop(): Promise<string[]> } {
  const stopped = new AbortController();
  const going = async (): Promise<string[]> => {
    const ids: string[] = [];
    while (!stopped.signal.aborted) {
      ids.push(await stack().submitOne(`paging-${ids.length}`));
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
    return ids;
  };
  const all = going();
  return {
    async stop() {
      stopped.abort();
      return all;
    },
  };
}

const good = async (): Promise<number> =>
  (await prometheus.query('evenkeel:slo_good_events:max{slo="order-processing"}'))[0]?.value ?? 0;

test('an outage of the payment provider pages, and the page ends once the provider is back', async () => {
  // From zero on: of what was counted before it was first scraped nobody would know.
  await waitFor('all is scraped', async () => {
    const up = await prometheus.query('up');
    return up.length === 5 && up.every(({ value }) => value === 1);
  });
  const orders = flow();
  onTestFinished(async () => {
    await stack().sandbox.clearFaults();
    await orders.stop();
  });
  await waitFor('orders are judged as good', async () => (await good()) > 10, 240_000, good);
  expect(await firing()).toEqual([]);
  expect(pages('firing')).toEqual([]);

  await stack().sandbox.addFault({ dependency: 'payments', operation: 'authorize', kind: 'error' });
  const page = await waitFor(
    'the page comes',
    () => pages('firing').find(({ groupLabels }) => groupLabels['alertname'] === 'OrderProcessingBudgetBurn'),
    180_000,
    everything,
  );
  expect(page.alerts[0]).toMatchObject({
    labels: { severity: 'page', slo: 'order-processing' },
    annotations: { runbook_url: expect.stringContaining('ops/runbooks/OrderProcessingBudgetBurn.md') as unknown },
  });

  await stack().sandbox.clearFaults();
  const over = (): boolean =>
    ['OrderProcessingBudgetBurn', 'OrderProcessingNothingGood'].every((alert) => {
      const ofAlert = (status: Notification['status']): number =>
        pages(status).filter(({ groupLabels }) => groupLabels['alertname'] === alert).length;
      return ofAlert('firing') === 0 || ofAlert('resolved') > 0;
    });
  await waitFor('the page ends', over, 240_000, everything);

  // What was paged for was late, and not lost.
  const ended = await stack().ended(await orders.stop());
  expect(new Set(ended.map(({ status }) => status))).toEqual(new Set(['completed']));
}, 720_000);

test('Prometheus has counted what PostgreSQL has, event for event', async () => {
  const rows = await waitFor(
    'all is judged',
    async () => {
      const [counted] = await stack().sql<{ good: string; bad: string; orders: string }>(
        `select good, bad, (select count(*) from orders) as orders from slo_totals where slo = 'order-processing'`,
      );
      return Number(counted?.good) + Number(counted?.bad) === Number(counted?.orders) && counted;
    },
    180_000,
  );
  expect(Number(rows.bad)).toBeGreaterThan(0);
  const expected = { good: Number(rows.good), events: Number(rows.good) + Number(rows.bad) };
  const counted = async () => {
    const [events] = await prometheus.query('max(evenkeel_slo_events_total{slo="order-processing"})');
    return { good: await good(), events: events?.value };
  };
  await expect.poll(counted).toEqual(expected);
  // Not a sample was missed from zero on, so that the rise within the longest window is all there is.
  const [rise] = await prometheus.query('evenkeel:slo_bad_events:increase30d{slo="order-processing"}');
  expect(rise?.value).toBe(Number(rows.bad));
});

test('what runbooks and dashboards ask of programs that are not ours is what these export', async () => {
  // Born with the first failure of their kind.
  const ofFailures = new Set<string>([foreign.taskFailures, foreign.requestFailures]);
  const asked = [...ofOthers].filter((name) => !ofFailures.has(name));
  const there = await prometheus.query(`count by (__name__) ({__name__=~"${asked.join('|')}"})`);
  expect(there.map(({ labels }) => labels['__name__']).toSorted()).toEqual(asked.toSorted());
});
