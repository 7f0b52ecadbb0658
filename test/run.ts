/**
 * `npm test`: the quick checks, then the tests on real servers, then one clear result. Stops at nothing, so that one
 * failure does not hide another; exits 1 if anything failed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

interface Outcome {
  readonly name: string;
  readonly ok: boolean;
  readonly passed: number;
  readonly failed: number;
  readonly seconds: number;
  /** What failed and its first words, one line each. */
  readonly failures: readonly string[];
}

/** The part of vitest's JSON report that is read here. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message?: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages?: readonly string[] | null;
    }[];
  }[];
}

const scratch = mkdtempSync(join(tmpdir(), 'evenkeel-test-'));

function check(name: string, command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Outcome {
  const began = performance.now();
  console.log(`\n=== ${name}`);
  const { status } = spawnSync(command, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  const ok = status === 0;
  const seconds = (performance.now() - began) / 1000;
  return { name, ok, passed: ok ? 1 : 0, failed: ok ? 0 : 1, seconds, failures: ok ? [] : [name] };
}

/** Runs some of vitest's projects and counts their tests from its own report; no report means that it broke. */
function tests(...projects: readonly string[]): Outcome {
  const report = join(scratch, `${projects.join('-')}.json`);
  const unhandled = join(scratch, `${projects.join('-')}.unhandled.json`);
  const own = '--reporter=./test/support/unhandled.reporter.ts';
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`, own];
  const args = ['run', ...projects.flatMap((project) => ['--project', project]), ...reporters];
  const ran = check(`tests: ${projects.join(', ')}`, 'vitest', args, { UNHANDLED_ERRORS_FILE: unhandled });
  try {
    const results = JSON.parse(readFileSync(report, 'utf8')) as Report;
    // A file that cannot be loaded has no failed test, and fails the run all the same.
    const failed = ran.ok ? 0 : Math.max(1, results.numFailedTests);
    const ok = ran.ok && results.numPassedTests > 0;
    return {
      ...ran,
      passed: results.numPassedTests,
      failed,
      ok,
      failures: ok ? [] : [...failuresOf(results), ...errorsIn(unhandled)],
    };
  } catch {
    return { ...ran, ok: false, passed: 0, failed: 1, failures: [`${ran.name}: ended without a report`] };
  }
}

function failuresOf({ testResults }: Report): string[] {
  const failures = testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(process.cwd(), name);
    const ofFile = assertionResults
      .filter((test) => test.status === 'failed')
      .map(({ fullName, failureMessages }) => `${file} > ${fullName}: ${firstLines(failureMessages?.[0])}`);
    return ofFile.length > 0 || status !== 'failed' ? ofFile : [`${file}: ${firstLines(message)}`];
  });
  return failures.length > 0 ? failures : ['the run failed, and no test did'];
}

/** What was thrown outside of every test, as far as it was written down. */
function errorsIn(file: string): string[] {
  if (!existsSync(file)) return [];
  return (JSON.parse(readFileSync(file, 'utf8')) as string[]).map((error) => `outside of a test: ${firstLines(error)}`);
}

const firstLines = (text = ''): string => text.split('\n').slice(0, 3).join(' | ').slice(0, 500);

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
for (const failure of outcomes.flatMap(({ failures }) => failures)) console.log(`failed: ${failure}`);
const sum = (key: 'passed' | 'failed'): number => outcomes.reduce((total, outcome) => total + outcome[key], 0);
console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
process.exitCode = outcomes.every(({ ok }) => ok) ? 0 : 1;
