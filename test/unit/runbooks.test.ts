import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeConfig } from '../../src/config.ts';
import { alertNames } from '../../src/slo/alert-catalog.ts';
import { loadObjectives } from '../../src/slo/files.ts';
import { promqlNames } from '../support/promql.ts';
import { allBlocks, blocksOf, codeSpansOf, readRunbooks, sectionsOf } from '../support/runbooks.ts';
import { inCheckout, problemsOf } from './docs-commands.ts';

const { objectives } = await loadObjectives();
const runbooks = readRunbooks();
const settings = new Set(describeConfig().map(({ name }) => name));

it('there is one runbook for each alert, and one alert for each runbook', () => {
  expect(runbooks.map(({ name }) => name)).toEqual([...alertNames(objectives)].toSorted());
});

describe.each(runbooks)('$name', (runbook) => {
  const { name, text } = runbook;
  const sections = sectionsOf(runbook);

  it('has its name as its title, and the five sections in their order', () => {
    expect(text.startsWith(`# ${name}\n`)).toBe(true);
    expect([...sections.keys()]).toEqual(['Meaning', 'Impact', 'Diagnosis', 'Mitigation', 'Trigger it']);
    expect([...sections.values()].filter((content) => content.trim() === '')).toEqual([]);
  });

  it('diagnoses by numbered steps, at least two of which can be copied', () => {
    const diagnosis = sections.get('Diagnosis') ?? '';
    const steps = [...diagnosis.matchAll(/^(\d+)\. /gm)].map(([, number]) => Number(number));
    expect(steps).toEqual(steps.map((_, index) => index + 1));
    expect(steps.length).toBeGreaterThanOrEqual(2);
    expect(blocksOf(name, diagnosis).length).toBeGreaterThanOrEqual(2);
  });

  it('says how to trigger the alert', () => {
    expect(blocksOf(name, sections.get('Trigger it') ?? '')).not.toEqual([]);
  });

  it('has only blocks that a test runs or checks', () => {
    expect(text.match(/^ *```/gm)?.length).toBe(blocksOf(name, text).length * 2);
    const languages = new Set(blocksOf(name, text).map(({ language }) => language));
    expect([...languages].filter((language) => !['sh', 'promql', 'sql'].includes(language))).toEqual([]);
  });

  it('shows only commands that exist, with words and bodies that they take', async () => {
    const shown = blocksOf(name, text).filter(({ language }) => language === 'sh');
    const inline = codeSpansOf(text).filter((span) => /^(npm|npx|docker|evenkeel|curl) [a-z]/.test(span));
    const problems = await Promise.all([...shown.map(({ code }) => code), ...inline].map(problemsOf));
    expect(problems.flat()).toEqual([]);
  });

  it('names only settings, files and pages that exist', () => {
    const spans = codeSpansOf(text);
    const named = spans.filter((span) => /^(EVENKEEL|TEMPORAL|OTEL)_[A-Z_]+$/.test(span));
    expect(named.filter((setting) => !settings.has(setting))).toEqual([]);
    const files = spans.filter((span) => /^(src|test|docs|ops)\/[\w./-]+$/.test(span));
    expect(files.filter((file) => !inCheckout(file))).toEqual([]);
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, target = '']) => target);
    expect(links.filter((target) => !inCheckout(join(dirname(`ops/runbooks/${name}.md`), target)))).toEqual([]);
  });
});

it('queries ask only for metrics, labels and values that exist', () => {
  const problems = promqlNames(objectives);
  const found = allBlocks('promql').flatMap(({ runbook, code }) =>
    problems(code).map((problem) => `${runbook}: ${problem} (${code})`),
  );
  expect(found).toEqual([]);
});

it('a query that asks for what is not there is refused', () => {
  const problems = promqlNames(objectives);
  expect(problems('sum by (rout) (rate(evenkeel_http_requests_totl{status="6xx"}[5m]))')).toEqual([
    'there is no metric evenkeel_http_requests_totl',
    'nothing here has a label rout',
  ]);
  expect(problems('rate(evenkeel_http_requests_total{status="6xx", state="a"}[5m])')).toEqual([
    'evenkeel_http_requests_total: status is never "6xx"',
    'evenkeel_http_requests_total has no label state',
  ]);
  expect(problems('evenkeel_http_request_duration_seconds > 1')).toEqual([
    'there is no metric evenkeel_http_request_duration_seconds',
  ]);
});
