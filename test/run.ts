/**
 * `npm test`: the quick checks, then the tests on real servers, then one clear result. Stops at nothing, so that one
 * failure does not hide another; exits 1 if anything failed.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Outcome {
  readonly name: string;
  readonly ok: boolean;
  readonly passed: number;
  readonly failed: number;
  readonly seconds: number;
}

const scratch = mkdtempSync(join(tmpdir(), 'evenkeel-test-'));

function check(name: string, command: string, args: readonly string[]): Outcome {
  const began = performance.now();
  console.log(`\n=== ${name}`);
  const { status } = spawnSync(command, args, { stdio: 'inherit' });
  const ok = status === 0;
  return { name, ok, passed: ok ? 1 : 0, failed: ok ? 0 : 1, seconds: (performance.now() - began) / 1000 };
}

/** Runs some of vitest's projects and counts their tests from its own report; no report means that it broke. */
function tests(...projects: readonly string[]): Outcome {
  const report = join(scratch, `${projects.join('-')}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const args = ['run', ...projects.flatMap((project) => ['--project', project]), ...reporters];
  const ran = check(`tests: ${projects.join(', ')}`, 'vitest', args);
  try {
    const counts = JSON.parse(readFileSync(report, 'utf8')) as { numPassedTests: number; numFailedTests: number };
    // A file that cannot be loaded has no failed test, and fails the run all the same.
    const failed = ran.ok ? 0 : Math.max(1, counts.numFailedTests);
    return { ...ran, passed: counts.numPassedTests, failed, ok: ran.ok && counts.numPassedTests > 0 };
  } catch {
    return { ...ran, ok: false, passed: 0, failed: 1 };
  }
}

const outcomes = [
  check('types', 'tsc', ['--noEmit']),
  check('lint', 'oxlint', ['--type-aware', '--deny-warnings']),
  check('format', 'prettier', ['--check', '--log-level', 'warn', '.']),
  check('unused code', 'knip', []),
  tests('unit', 'workflow', 'replay'),
  tests('integration'),
  tests('e2e'),
];
rmSync(scratch, { recursive: true, force: true });

console.log('\n=== result');
for (const { name, ok, seconds } of outcomes) {
  console.log(`${ok ? 'ok  ' : 'FAIL'}  ${name}  (${seconds.toFixed(0)} s)`);
}
const sum = (key: 'passed' | 'failed'): number => outcomes.reduce((total, outcome) => total + outcome[key], 0);
console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
process.exitCode = outcomes.every(({ ok }) => ok) ? 0 : 1;
