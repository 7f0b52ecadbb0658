import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { UsageError } from '../../src/commands/command.ts';
import { generate as command, staleFiles } from '../../src/commands/slo/generate.ts';
import { loadObjectives } from '../../src/slo/files.ts';
import { generate } from '../../src/slo/generate.ts';
import { runCommand } from './submit-api.ts';

const { objectives } = await loadObjectives();
const ops = fileURLToPath(new URL('../../ops', import.meta.url));
const ran = (...words: string[]) => runCommand(command, words);

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'evenkeel-ops-'));
  onTestFinished(() => rm(made, { recursive: true, force: true }));
  return made;
}

test("the committed rules, alerts, tests and dashboards are what the objectives make; if not, 'evenkeel slo generate' renews them", async () => {
  expect(await staleFiles(ops, generate({ objectives }))).toEqual([]);
});

test('writes what is missing or differs, and nothing else', async () => {
  const out = await folder();
  const files = generate({ objectives });
  expect((await ran('--out', out)).stdout).toContain(`${files.length} files, ${files.length} of them changed`);
  const changed = join(out, 'prometheus/alerts.yml');
  await writeFile(changed, '# by hand\n');
  expect((await ran('--out', out)).stdout).toContain(`${files.length} files, 1 of them changed`);
  expect(await readFile(changed, 'utf8')).toContain('OrderProcessingBudgetBurn');
  expect((await ran('--out', out)).stdout).toContain(' 0 of them changed');
});

test('--check answers 1 and names what is missing, differs, or lies where only generated files may; and changes nothing', async () => {
  const out = await folder();
  await ran('--out', out);
  await writeFile(join(out, 'prometheus/alerts.yml'), '# by hand\n');
  await writeFile(join(out, 'prometheus/tests/mine.yml'), '# by hand\n');
  await rm(join(out, 'prometheus/recording-rules.yml'));
  const { code, stdout, stderr } = await ran('--check', '--out', out);
  expect(code).toBe(1);
  const named = stdout.trim().split('\n');
  expect(named).toEqual(
    ['prometheus/recording-rules.yml', 'prometheus/alerts.yml', 'prometheus/tests/mine.yml'].map(
      (path) => `${join(out, path)} is not what the objectives make`,
    ),
  );
  expect(stderr).toContain("run 'evenkeel slo generate'");
  expect(await readFile(join(out, 'prometheus/alerts.yml'), 'utf8')).toBe('# by hand\n');

  await ran('--out', out);
  expect(await ran('--check', '--out', out)).toMatchObject({ code: 0, stdout: '' });
});

test('compressed rules come without tests and dashboards, which are for time as it is', async () => {
  const out = await folder();
  await ran('--out', out, '--time-scale', '60');
  expect(await staleFiles(out, generate({ objectives, timeScale: 60 }))).toEqual([]);
  expect(generate({ objectives, timeScale: 60 }).map(({ path }) => path)).toEqual([
    'prometheus/recording-rules.yml',
    'prometheus/alerts.yml',
  ]);
});

test.each([
  [['--time-scale', '60'], '--out'],
  [['--time-scale', '61', '--out', 'x'], "--time-scale takes a whole number from 1 to 60, not '61'"],
  [['--time-scale', '0', '--out', 'x'], "not '0'"],
  [['now'], "'now' is one word too many"],
  [['--now'], '--now'],
])('%j is refused: %s', async (words, problem) => {
  const refusal: unknown = await ran(...words).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(UsageError);
  expect(String(refusal)).toContain(problem);
});
