import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { allDashboards, dashboards } from '../../src/slo/dashboards.ts';
import { loadObjectives } from '../../src/slo/files.ts';
import { promqlNames } from '../support/promql.ts';

const ops = fileURLToPath(new URL('../../ops/', import.meta.url));
const { objectives } = await loadObjectives();

const model = z.object({
  uid: z.string().max(40),
  title: z.string(),
  panels: z.array(
    z.object({
      id: z.int().positive(),
      title: z.string(),
      type: z.enum(['row', 'timeseries', 'stat', 'table']),
      gridPos: z.object({ x: z.int().min(0), y: z.int().min(0), w: z.int().min(1), h: z.int().min(1) }),
      datasource: z.object({ type: z.string(), uid: z.string() }).optional(),
      targets: z.array(z.object({ refId: z.string(), expr: z.string() })).optional(),
    }),
  ),
});
const files = dashboards(objectives).map(({ path, text }) => ({ path, text, board: model.parse(JSON.parse(text)) }));

it('the files are what the objectives and metrics make of them', () => {
  const stale = files.filter(({ path, text }) => readFileSync(`${ops}${path}`, 'utf8') !== text);
  expect(stale.map(({ path }) => path)).toEqual([]);
});

it('every objective has its burn rate and its budget shown', () => {
  const shown = JSON.stringify(allDashboards(objectives));
  for (const { title } of objectives) {
    for (const panel of ['good', 'budget left', 'burn rate', 'events']) expect(shown).toContain(`${title}: ${panel}`);
  }
});

describe.each(files)('$path', ({ board }) => {
  it('has panels with ids and titles of their own, and targets by the letter', () => {
    expect(new Set(board.panels.map(({ id }) => id)).size).toBe(board.panels.length);
    expect(new Set(board.panels.map(({ title }) => title)).size).toBe(board.panels.length);
    for (const { targets = [] } of board.panels) {
      expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length);
    }
  });

  it('has panels side by side and not one over the other', () => {
    const taken = new Map<string, string>();
    for (const { title, gridPos } of board.panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect(taken.get(`${x},${y}`)).toBeUndefined();
          taken.set(`${x},${y}`, title);
        }
      }
    }
  });

  it('asks only for metrics, labels and values that exist', () => {
    const problems = promqlNames(objectives);
    const found = board.panels.flatMap(({ title, targets = [] }) =>
      targets.flatMap(({ expr }) => problems(expr).map((problem) => `${title}: ${problem} (${expr})`)),
    );
    expect(found).toEqual([]);
  });

  it('asks the data source that Grafana is given', () => {
    const { datasources } = z
      .object({ datasources: z.array(z.object({ uid: z.string(), type: z.string() })) })
      .parse(parse(readFileSync(`${ops}grafana/provisioning/datasources/evenkeel.yml`, 'utf8')));
    const known = new Set(datasources.map(({ uid, type }) => `${type} ${uid}`));
    const used = board.panels.flatMap(({ datasource }) => (datasource ? [`${datasource.type} ${datasource.uid}`] : []));
    expect(used.filter((source) => !known.has(source))).toEqual([]);
  });
});

it('a panel that comes first changes no id of those after it', () => {
  const [first, ...others] = objectives;
  const idsOf = (some: typeof objectives): number[] =>
    dashboards(some).flatMap(({ text }) => model.parse(JSON.parse(text)).panels.map(({ id }) => id));
  expect(first).toBeDefined();
  const all = new Set(idsOf(objectives));
  expect(idsOf(others).filter((id) => !all.has(id))).toEqual([]);
});
