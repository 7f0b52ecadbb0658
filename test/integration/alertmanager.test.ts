import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { run } from '../../src/embedded/run.ts';
import { alertGroups } from '../../src/slo/alert-catalog.ts';
import { loadObjectives } from '../../src/slo/files.ts';
import { type AlertReceivers, startAlertReceivers } from '../support/alert-receivers.ts';
import { type Alertmanager, alertmanagerFolder, startAlertmanager } from '../support/alertmanager.ts';
import { prometheusTools } from '../support/prometheus-tools.ts';
import { pooled, waitFor } from '../support/wait.ts';

const configFile = join(alertmanagerFolder, 'alertmanager.yml');
const { objectives } = await loadObjectives();
const alerts = alertGroups(objectives).flatMap((group) => group.alerts);

let receivers: AlertReceivers;
let alertmanager: Alertmanager;
beforeAll(async () => {
  receivers = await startAlertReceivers();
  alertmanager = await startAlertmanager(prometheusTools().alertmanager, receivers);
});
afterAll(async () => {
  await alertmanager?.stop();
  await receivers?.close();
});

const fired: Labels[] = [];
afterEach(async () => {
  await fire(fired.splice(0), true);
});

const amtool = async (...args: string[]) => run(prometheusTools().amtool, args);

type Labels = Readonly<Record<string, string>>;

/** Tells Alertmanager that these fire, as Prometheus does; or that they are over. */
async function fire(all: readonly Labels[], over = false): Promise<void> {
  const [startsAt, endsAt] = [-60_000, over ? -1_000 : 300_000].map((ms) => new Date(Date.now() + ms).toISOString());
  if (!over) fired.push(...all);
  const annotations = { summary: 'a test', description: 'of routes', runbook_url: 'ops/runbooks/Watchdog.md' };
  const { status } = await fetch(`${alertmanager.url}/api/v2/alerts`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(all.map((labels) => ({ labels, annotations, startsAt, endsAt }))),
  });
  expect(status).toBe(200);
}

const told = z.array(
  z.object({
    labels: z.record(z.string(), z.string()),
    status: z.object({ state: z.string(), inhibitedBy: z.array(z.string()) }),
  }),
);

/** The names of those that fire for this `test`, and of those that are silenced by another. */
async function states(test: string): Promise<{ active: string[]; inhibited: string[] }> {
  const filter = encodeURIComponent(`test="${test}"`);
  const all = told.parse(await (await fetch(`${alertmanager.url}/api/v2/alerts?filter=${filter}`)).json());
  const names = (inhibited: boolean): string[] =>
    all
      .filter(({ status }) => status.inhibitedBy.length > 0 === inhibited)
      .map(({ labels }) => `${labels['alertname']} ${labels['severity']}`)
      .toSorted();
  return { active: names(false), inhibited: names(true) };
}

it('the configuration is one that Alertmanager takes, as it is and with webhooks', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'evenkeel-alertmanager-'));
  try {
    await writeFile(join(folder, 'page'), 'https://pager.example/hook?key=secret\n');
    const rendered = join(folder, 'rendered.yml');
    const env = { ...process.env, CONFIG: configFile, URLS_DIR: folder, RENDERED: rendered, ALERTMANAGER: '/bin/true' };
    expect(await run(join(alertmanagerFolder, 'start.sh'), [], { env })).toMatchObject({ code: 0 });
    const text = await readFile(rendered, 'utf8');
    expect(text.match(/^ +webhook_configs/gm)).toHaveLength(1);
    expect(text).toContain("url: 'https://pager.example/hook?key=secret'");
    expect(await amtool('check-config', configFile, rendered)).toMatchObject({ code: 0 });
  } finally {
    await rm(folder, { recursive: true });
  }
});

it('a file that holds no URL ends the start, and is not quoted', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'evenkeel-alertmanager-'));
  try {
    await writeFile(join(folder, 'page'), `https://pager.example/' }, { injected\n`);
    const env = { ...process.env, CONFIG: configFile, URLS_DIR: folder, RENDERED: join(folder, 'rendered.yml') };
    const { code, output } = await run(join(alertmanagerFolder, 'start.sh'), [], { env });
    expect(code).toBe(1);
    expect(output).toContain(`${folder}/page holds no URL`);
    expect(output).not.toContain('injected');
  } finally {
    await rm(folder, { recursive: true });
  }
});

it('every alert goes where its severity says, and one that nobody knows pages', async () => {
  const known = alerts.map(({ alert, labels }) => ({ alertname: alert, ...labels }));
  const routed = await pooled([...known, { alertname: 'Unheard', severity: 'odd' }], 4, async (labels) => {
    const words = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
    const { stdout } = await amtool('config', 'routes', 'test', `--config.file=${configFile}`, ...words);
    return { ...labels, receiver: stdout.trim() };
  });
  const expected: Readonly<Record<string, string>> = { page: 'page', ticket: 'ticket', none: 'deadman' };
  expect(routed.filter(({ severity, receiver }) => receiver !== (expected[severity] ?? 'page'))).toEqual([]);
});

it('a page of an objective silences its ticket and its other page, and nothing of another objective', async () => {
  const test = 'objectives';
  const burn = { alertname: 'OrderProcessingBudgetBurn', slo: 'order-processing', test };
  await fire([
    { ...burn, severity: 'page' },
    { ...burn, severity: 'ticket' },
    { alertname: 'OrderProcessingNothingGood', slo: 'order-processing', severity: 'page', test },
    { alertname: 'HumanDecisionBudgetBurn', slo: 'human-decision', severity: 'ticket', test },
    { alertname: 'DeliveryDispatchNothingGood', slo: 'delivery-dispatch', severity: 'page', test },
  ]);
  await expect
    .poll(async () => states(test))
    .toEqual({
      active: ['DeliveryDispatchNothingGood page', 'HumanDecisionBudgetBurn ticket', 'OrderProcessingBudgetBurn page'],
      inhibited: ['OrderProcessingBudgetBurn ticket', 'OrderProcessingNothingGood page'],
    });
});

it('where the API cannot be scraped, nobody is told also that its numbers are missing', async () => {
  const test = 'absence';
  const page = { severity: 'page', test };
  await fire([
    { ...page, alertname: 'MetricsTargetDown', job: 'evenkeel-api' },
    { ...page, alertname: 'SliAbsent', slo: 'consumer-lag' },
    { ...page, alertname: 'FactsStale', source: 'postgres' },
    { ...page, alertname: 'SliJudgementStalled' },
  ]);
  await expect
    .poll(async () => states(test))
    .toEqual({
      active: ['MetricsTargetDown page'],
      inhibited: ['FactsStale page', 'SliAbsent page', 'SliJudgementStalled page'],
    });
});

it('nothing silences a ledger violation, whatever else fires', async () => {
  const test = 'ledger';
  const all = alerts.map(({ alert, labels }) => ({ alertname: alert, ...labels, test }));
  await fire([...all, { alertname: 'LedgerViolation', severity: 'page', kind: 'double_charge', test }]);
  await expect.poll(async () => (await states(test)).inhibited.length).toBeGreaterThan(0);
  expect((await states(test)).inhibited.filter((name) => name.startsWith('LedgerViolation'))).toEqual([]);
  expect((await states(test)).active).toContain('LedgerViolation page');
});

it('a page comes by webhook and by mail with its runbook, once for many, and again when it is over', async () => {
  const test = 'told';
  const many = ['a', 'b'].map((kind) => ({ alertname: 'TestOfPages', severity: 'page', kind, test }));
  const notified = (status: string) =>
    receivers.notifications.filter(
      (each) => each.status === status && each.alerts.some(({ labels }) => labels['test'] === test),
    );
  await fire(many);
  const [first] = await waitFor('the page came', () => notified('firing').length > 0 && notified('firing'));
  expect(first).toMatchObject({ receiver: 'page', groupLabels: { alertname: 'TestOfPages' } });
  expect(first?.alerts.map(({ labels }) => labels['kind']).toSorted()).toEqual(['a', 'b']);
  expect(first?.alerts[0]?.annotations['runbook_url']).toBe('ops/runbooks/Watchdog.md');

  const mail = await waitFor('the mail came', () =>
    receivers.mails.find(({ text }) => text.includes('page: TestOfPages')),
  );
  expect(mail.to).toBe('on-call@example.test');
  expect(mail.text).toContain('What to do: ops/runbooks/Watchdog.md');

  await fire(many, true);
  await waitFor('the end came', () => notified('resolved').length > 0);
});
