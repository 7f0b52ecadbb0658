/** Runs, or has checked by its own tool, all that somebody would copy from a runbook or see on a dashboard. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { stringify } from 'yaml';
import { z } from 'zod';
import { run } from '../../src/embedded/run.ts';
import { dashboards } from '../../src/slo/dashboards.ts';
import { loadObjectives } from '../../src/slo/files.ts';
import { type TestDatabase, testDatabase } from '../support/postgres.ts';
import { prometheusTools } from '../support/prometheus-tools.ts';
import { allBlocks } from '../support/runbooks.ts';
import { commandsOf } from '../unit/docs-shell.ts';
import { commandInside } from '../unit/docs-tools.ts';

let database: TestDatabase;
let client: Client;
beforeAll(async () => {
  database = await testDatabase();
  client = new Client({ connectionString: database.url });
  await client.connect();
});
afterAll(async () => {
  await client?.end();
  await database?.drop();
});

it.each(allBlocks('sql'))('$runbook: PostgreSQL takes $code', async ({ code }) => {
  await client.query('begin');
  try {
    const { command } = await client.query(code);
    expect(['SELECT', 'UPDATE']).toContain(command);
  } finally {
    await client.query('rollback');
  }
});

const board = z.object({
  panels: z.array(z.object({ title: z.string(), targets: z.array(z.object({ expr: z.string() })).optional() })),
});

it('promtool reads every query of runbooks and dashboards', async () => {
  const { objectives } = await loadObjectives();
  const shown = dashboards(objectives).flatMap(({ text }) =>
    board.parse(JSON.parse(text)).panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
  );
  const queries = [...allBlocks('promql').map(({ code }) => code), ...shown];
  const rules = queries.map((expr, index) => ({
    record: `q:${index}`,
    expr: expr.replaceAll('$__rate_interval', '1m'),
  }));
  const folder = await mkdtemp(join(tmpdir(), 'evenkeel-queries-'));
  try {
    const file = join(folder, 'rules.yml');
    await writeFile(file, stringify({ groups: [{ name: 'queries', rules }] }));
    const { code, output } = await run(prometheusTools().promtool, ['check', 'rules', file]);
    expect(output).toContain(`SUCCESS: ${queries.length} rules found`);
    expect(code).toBe(0);
  } finally {
    await rm(folder, { recursive: true });
  }
});

const toolLines = [
  ...new Set(
    allBlocks('sh')
      .flatMap(({ code }) => commandsOf(code))
      .map((words) => (words[0] === 'docker' ? (commandInside(words.slice(1)) ?? []) : words))
      .filter(([name = '']) => ['amtool', 'temporal'].includes(name))
      .map((words) => words.join(' ')),
  ),
];

it.each(toolLines)('%s: the tool has such a command with such options', async (line) => {
  const [name, ...words] = line.split(' ');
  const path = name === 'amtool' ? prometheusTools().amtool : inject('temporalCliPath');
  const verbs = words.slice(0, 2);
  const { code, output } = await run(path, [...verbs, '--help']);
  expect(code).toBe(0);
  const options = words.filter((word) => word.startsWith('--')).map((word) => word.replace(/=.*/, ''));
  expect(options.filter((option) => !new RegExp(`${option}(?![\\w-])`).test(output))).toEqual([]);
});
