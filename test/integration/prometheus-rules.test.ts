/** The rules and the tests of them, as they are committed, through promtool. */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { run } from '../../src/embedded/run.ts';
import { generate } from '../../src/slo/generate.ts';
import { loadObjectives } from '../../src/slo/files.ts';
import { prometheusTools } from '../support/prometheus-tools.ts';
import { inFolder } from '../support/generated.ts';

const folder = fileURLToPath(new URL('../../ops/prometheus', import.meta.url));
const rules = ['recording-rules.yml', 'alerts.yml'].map((name) => `${folder}/${name}`);
/** Whatever promtool says instead is in the difference. */
const success = { code: 0 };
const promtool = (...args: string[]) => run(prometheusTools().promtool, args);

it('the rules are valid', async () => {
  const result = await promtool('check', 'rules', '--lint=all', '--lint-fatal', ...rules);
  expect(result).toMatchObject(success);
});

it.each([2, 7, 60])('and so are they where time goes by %d times as fast', async (timeScale) => {
  const { objectives } = await loadObjectives();
  await inFolder(generate({ objectives, timeScale }), async (out) => {
    const paths = ['recording-rules.yml', 'alerts.yml'].map((name) => `${out}/prometheus/${name}`);
    const result = await promtool('check', 'rules', '--lint=all', '--lint-fatal', ...paths);
    expect(result).toMatchObject(success);
  });
});

it.each(readdirSync(`${folder}/tests`))('the rules pass %s', { timeout: 180_000 }, async (name) => {
  const result = await promtool('test', 'rules', `${folder}/tests/${name}`);
  expect(result).toMatchObject(success);
});
