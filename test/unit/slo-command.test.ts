import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { z } from 'zod';
import { shownSlo, type slo as sloSchema, type sloReport } from '../../src/api/slo-schemas.ts';
import { sloRoutes } from '../../src/api/slos.ts';
import { UsageError } from '../../src/commands/command.ts';
import { run as slo } from '../../src/commands/slo.ts';
import { monthBefore } from '../../src/commands/slo/report.ts';
import type { SloCounts, SloName } from '../../src/domain/objectives.ts';
import { budgetWindows, stateOf } from '../../src/slo/budget.ts';
import { loadObjectives } from '../../src/slo/files.ts';
import { runContext } from './api-access-fakes.ts';
import { sloFakes } from './api-slo-fakes.ts';
import { type DeliveryApi, refused, startDeliveryApi } from './delivery-api.ts';
import { runCommand } from './submit-api.ts';

type Shown = z.output<typeof sloSchema>;

let api: DeliveryApi;
beforeEach(async () => {
  api = await startDeliveryApi();
});
afterEach(() => api.close());

const { objectives } = await loadObjectives();
const ran = (...words: string[]) => runCommand(slo, [...words, '--url', api.url]);

/** As the API shows objectives, all of whose events are of the last five minutes; those not named have been met. */
function shown(
  counts: Partial<Record<SloName, readonly [good: number, bad: number]>>,
  judgedUntil = new Date(),
): readonly Shown[] {
  return objectives.map((objective) => {
    const [good, bad] = counts[objective.name] ?? [100_000, 0];
    const window: SloCounts = { good, bad, excluded: 0 };
    const state = stateOf(
      objective,
      budgetWindows.map(() => window),
    );
    const until = objective.source === 'process' ? null : judgedUntil;
    return shownSlo(objective, state, { slo: objective.name, ...window, judgedUntil: until });
  });
}

/** The same whose events are all older than three days. */
function longAgo(name: SloName, good: number, bad: number): readonly Shown[] {
  const before = shown({ [name]: [0, 0] });
  const objective = objectives.find((one) => one.name === name);
  if (objective === undefined) throw new Error(`there is no ${name}`);
  const counts = budgetWindows.map((window) => (window === '30d' ? { good, bad } : { good: 0, bad: 0 }));
  const state = stateOf(
    objective,
    counts.map((each) => ({ ...each, excluded: 0 })),
  );
  return before.map((one) => (one.name === name ? shownSlo(objective, state, undefined) : one));
}

const answers = (data: readonly Shown[]) => api.answers('GET /v1/slos', { data });
/** The row of an objective in the table, in cells. */
const rowOf = (stdout: string, name: string): readonly string[] =>
  stdout
    .split('\n')
    .find((line) => line.startsWith(`${name} `))
    ?.split(/ {2,}/) ?? [];

test.each([
  [['explain'], "'explain' means nothing here; it takes status, report, gate, lint, generate"],
  [['status', 'all'], "'all' is one word too many"],
  [['report', '--month', '2026-13'], "--month takes a month such as 2026-10, not '2026-13'"],
  [['report', '--month', 'october'], "not 'october'"],
  [['gate', '--min-left', 'some'], "--min-left takes a share of the budget such as 10%, not 'some'"],
  [['gate', '--min-left', '101%'], "not '101%'"],
  [['gate', '--min-left', '-1%'], '--min-left'],
  [['lint', '--events', '0'], '--events takes a whole number from 1'],
])('refuses %j', async (words, part) => {
  const failure = runCommand(slo, words);
  await expect(failure).rejects.toThrow(UsageError);
  await expect(failure).rejects.toThrow(part);
});

describe('evenkeel slo status', () => {
  test('says what it does not know, and that is not 100 %', async () => {
    answers(shown({ 'human-decision': [0, 0] }));
    const { code, stdout } = await ran();
    expect(code).toBe(0);
    expect(rowOf(stdout, 'human-decision')).toEqual(['human-decision', '-', '99 %', '-', '-', '-', '-', 'no events']);
    expect(stdout).toMatch(
      /\nNot enough data: human-decision had no events that count\.\nEvery other budget lasts at the present rate\.\n$/,
    );
  });

  test('says so in one line where nothing is known at all', async () => {
    answers(shown(Object.fromEntries(objectives.map(({ name }) => [name, [0, 0]]))));
    const { stdout } = await ran();
    expect(stdout).toMatch(/\n\nNot enough data: order-processing, .*, consumer-lag had no events that count\.\n$/);
  });

  test('shows what is left as a bar, how fast it goes, and when it is spent', async () => {
    answers(shown({ 'order-processing': [99_950, 50] }));
    const { stdout } = await ran('status');
    expect(rowOf(stdout, 'order-processing')).toEqual([
      'order-processing',
      '99.95 %',
      '99.9 %',
      '#####.....',
      '50 %',
      '0.5',
      '0.5',
      '0.5',
      '1 h 0 min',
    ]);
    expect(stdout).toContain(
      '\norder-processing: 50 of 100,000 events were bad in 30 days, and 100 may be; at the rate of the last hour the budget is spent in 1 h 0 min.\n',
    );
    expect(rowOf(stdout, 'consumer-lag')).toEqual([
      'consumer-lag',
      '100 %',
      '99 %',
      '##########',
      '100 %',
      '0',
      '0',
      '0',
      'not so soon',
    ]);
  });

  test('puts first what somebody is paged for, and names the consumers that do worst', async () => {
    answers(
      shown({ 'order-processing': [9_000, 1_000], 'delivery-end-to-end': [980, 20], 'consumer-lag': [99_998, 2] }),
    );
    const worst = { consumerId: 'c-1', name: 'ware\u001b[2Jhouse', good: 5, bad: 15, excluded: 0, sli: 0.25 };
    const consumers = [worst, { ...worst, name: 'shop', good: 975, bad: 5 }, { ...worst, name: 'fine', bad: 0 }];
    const [, , , , single] = shown({});
    api.answers('GET /v1/slos/delivery-end-to-end', { ...single, consumers });
    const { stdout } = await ran();
    expect(rowOf(stdout, 'order-processing').slice(3)).toEqual([
      '..........',
      '< -100 %',
      '100',
      '100',
      '100',
      'spent',
    ]);
    const words = stdout.slice(stdout.indexOf('\n\n') + 2).split('\n');
    expect(words[0]).toBe(
      'order-processing: 1,000 of 10,000 events were bad in 30 days, and 10 may be; the budget is spent. Alarm: page, ops/runbooks/OrderProcessingBudgetBurn.md',
    );
    expect(words[1]).toContain('delivery-end-to-end: 20 of 1,000 events were bad');
    expect(words.slice(2, 4)).toEqual(['  ware [2Jhouse: 15 of 20 late or never', '  shop: 5 of 980 late or never']);
    expect(words[4]).toContain('consumer-lag: 2 of 100,000 events were bad');
    expect(words.slice(5)).toEqual(['']);
  });

  test('never calls whole what is not, nor empty what is overspent', async () => {
    answers(shown({ 'order-processing': [9_999_999, 1], 'delivery-dispatch': [998_999, 1_001] }));
    const { stdout } = await ran();
    expect(rowOf(stdout, 'order-processing').slice(1, 6)).toEqual(['99.999 %', '99.9 %', '##########', '99 %', '<0.1']);
    expect(rowOf(stdout, 'delivery-dispatch').slice(1, 5)).toEqual(['99.899 %', '99.9 %', '..........', '-0.1 %']);
  });

  test('speaks of no budget where one event was bad, of so few that not one may be; the second spends it', async () => {
    answers(shown({ 'order-processing': [7, 1], 'delivery-dispatch': [6, 2], 'consumer-lag': [8, 0] }));
    const { stdout } = await ran();
    expect(rowOf(stdout, 'order-processing')).toEqual([
      'order-processing',
      '87.5 %',
      '99.9 %',
      '-',
      '125',
      '125',
      '125',
      'too few events',
    ]);
    expect(rowOf(stdout, 'delivery-dispatch').slice(3, 5)).toEqual(['..........', '< -100 %']);
    expect(rowOf(stdout, 'consumer-lag').slice(3, 5)).toEqual(['##########', '100 %']);
    // By the guard of the rules, one bad event is no alarm, and the second makes a ticket.
    expect(stdout.slice(stdout.indexOf('\n\n') + 2)).toBe(
      'delivery-dispatch: 2 of 8 events were bad in 30 days, and of so few none may be; the budget is spent. Alarm: ticket, ops/runbooks/DeliveryDispatchBudgetBurn.md\n' +
        'order-processing: 1 of 8 events was bad in 30 days, too few events for a budget of one: that takes 1,000.\n',
    );
  });

  test('says of what does not count how much it is', async () => {
    const samples = shown({ 'order-processing': [0, 0] }).map((one) =>
      one.name === 'order-processing'
        ? { ...one, windows: one.windows.map((window) => ({ ...window, excluded: 8 })) }
        : one,
    );
    answers(samples);
    expect((await ran()).stdout).toContain('order-processing (8 excluded) had no events that count.\n');
  });

  test('shows the table where the consumers cannot be read, and says so', async () => {
    answers(shown({ 'delivery-end-to-end': [980, 20] }));
    api.on('GET /v1/slos/delivery-end-to-end', () => refused(500, 'internal_error', 'it \u001b[2Jbroke'));
    const { code, stdout } = await ran();
    expect(code).toBe(0);
    expect(rowOf(stdout, 'consumer-lag')[1]).toBe('100 %');
    expect(stdout).toMatch(
      /\ndelivery-end-to-end: 20 of 1,000 .*\n {2}its consumers could not be read: it  \[2Jbroke\n/,
    );
  });

  test('says that nothing is judged any more', async () => {
    answers(shown({}, new Date(Date.now() - 10 * 60_000)));
    const { stdout } = await ran();
    expect(stdout).toMatch(
      /\nNothing is judged since .*Z, 10 min \d+ s ago: what came later is in none of these numbers\.\n/,
    );
  });

  test('gives what the API gives as JSON', async () => {
    const data = shown({});
    answers(data);
    expect(JSON.parse((await ran('status', '--json')).stdout)).toEqual(data);
  });
});

describe('evenkeel slo gate', () => {
  const gate = async (data: readonly Shown[], ...words: string[]) => {
    answers(data);
    return ran('gate', ...words);
  };
  const half = shown({ 'order-processing': [99_950, 50] });

  test('fails where the budget of an objective that pages is spent', async () => {
    const { code, stdout } = await gate(shown({ 'api-availability': [99_900, 100] }));
    expect(code).toBe(1);
    expect(stdout).toContain('FAIL  api-availability: 99.9 % where 99.9 % is the target, the budget is spent\n');
    expect(stdout).toContain('pass  order-processing: 100 % where 99.9 % is the target, 100 % of the budget left\n');
  });

  test('fails where the API does not answer, or refuses', async () => {
    api.on('GET /v1/slos', () => refused(500, 'internal_error', 'it broke'));
    await expect(ran('gate')).rejects.toThrow('it broke');
  });

  test('does not mind an objective that makes tickets', async () => {
    const { code, stdout } = await gate(shown({ 'human-decision': [1, 99] }));
    expect([code, stdout.includes('human-decision')]).toEqual([0, false]);
  });

  test.each([
    ['50%', 0],
    ['0.5', 0],
    ['50.1%', 1],
  ])('with --min-left %s of a budget half spent answers %i', async (least, code) => {
    expect((await gate(half, '--min-left', least)).code).toBe(code);
  });

  test('lets what nobody knows pass, but for --strict', async () => {
    const unknown = shown({ 'delivery-dispatch': [0, 0] });
    const { code, stdout } = await gate(unknown);
    expect([code, stdout]).toEqual([
      0,
      expect.stringContaining('pass  delivery-dispatch: not enough data: no events\n'),
    ]);
    expect((await gate(unknown, '--strict')).code).toBe(1);
    expect((await gate([], '--strict')).code).toBe(1);
    expect((await gate([])).code).toBe(0);
  });

  test('makes nothing of a single bad event among few, but for --strict; the second closes it', async () => {
    const { code, stdout } = await gate(longAgo('order-processing', 9, 1));
    expect([code, stdout]).toEqual([0, expect.stringContaining('not enough data: that is one bad event')]);
    expect((await gate(longAgo('order-processing', 9, 1), '--strict')).code).toBe(1);
    expect((await gate(longAgo('order-processing', 9, 2))).code).toBe(1);
  });

  test('with --burning fails while somebody is paged, though there is some budget left', async () => {
    const burning = shown({}).map((one) =>
      one.name === 'order-processing' ? { ...one, alarm: 'page' as const } : one,
    );
    expect((await gate(burning)).code).toBe(0);
    const { code, stdout } = await gate(burning, '--burning');
    expect([code, stdout]).toEqual([1, expect.stringContaining('and it burns too fast: alarm: page')]);
  });

  test('takes what was judged long ago for not enough data', async () => {
    const stale = shown({}, new Date(Date.now() - 10 * 60_000));
    const { code, stdout } = await gate(stale);
    expect([code, stdout]).toEqual([0, expect.stringContaining('not enough data: nothing is judged since')]);
    expect((await gate(stale, '--strict')).code).toBe(1);
  });
});

describe('evenkeel slo report', () => {
  /** The report as the API makes it of the fakes' records. */
  async function reportOf(month: string): Promise<z.output<typeof sloReport>> {
    const route = sloRoutes(sloFakes()).find(({ operationId }) => operationId === 'getSloReport');
    const raw = { path: { month }, query: {}, headers: {}, body: Buffer.alloc(0) };
    return (await route?.run(raw, runContext()))?.json as z.output<typeof sloReport>;
  }

  test('is a page about objectives, promises and the worst days', async () => {
    api.answers('GET /v1/slo-reports/2026-10', await reportOf('2026-10'));
    const { code, stdout } = await ran('report', '--month', '2026-10');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^# How objectives were met in 2026-10\n\nThe whole month, in UTC\./);
    expect(stdout).toContain('| Orders processed in time | 1,989 | 11 | 0 | 99.45 % | 99.9 % | **no** | < -100 % |\n');
    expect(stdout).toContain('| Decisions made in time | 0 | 0 | 0 | not enough data | 99 % | not enough data |  |\n');
    expect(stdout).toContain('| Orders processed in time | 99.5 % | 99.45 % | **no** | 10 % of the fee |\n');
    expect(stdout).toContain('| API available | 99.5 % | 99.9 % | yes | none |\n');
    expect(stdout).toContain('| Orders processed in time | 2026-10-01 | 11 | 1,000 | 550 % |\n');
    expect(stdout).toContain('- Force majeure\n');
  });

  test('says that a month is not complete yet', async () => {
    api.answers('GET /v1/slo-reports/2026-11', await reportOf('2026-11'));
    expect((await ran('report', '--month', '2026-11')).stdout).toContain(
      '\n\nNot complete: judged until 2026-11-01T00:00:01.000Z, in UTC.',
    );
  });

  test('says that some of a month is gone', async () => {
    api.answers('GET /v1/slo-reports/2025-09', await reportOf('2025-09'));
    expect((await ran('report', '--month', '2025-09')).stdout).toContain(
      '\n\nNot complete: some of it is no longer kept, in UTC.',
    );
  });

  test('is about the last month that is over unless another is named', async () => {
    expect(monthBefore(new Date('2026-01-01T00:00:00Z'))).toBe('2025-12');
    expect(monthBefore(new Date('2026-10-31T23:59:59Z'))).toBe('2026-09');
    const month = monthBefore(new Date());
    api.answers(`GET /v1/slo-reports/${month}`, await reportOf(month));
    expect(JSON.parse((await ran('report', '--json')).stdout)).toMatchObject({ month });
  });
});

describe('evenkeel slo lint', () => {
  /** The files that come with the program, copied, with one of them changed. */
  async function folder(name: string, from: string, to: string): Promise<string> {
    const dir = await mkdtemp(join(tmpdir(), 'evenkeel-slo-'));
    onTestFinished(() => rm(dir, { recursive: true }));
    await cp(fileURLToPath(new URL('../../ops/slo', import.meta.url)), dir, { recursive: true });
    await writeFile(join(dir, name), (await readFile(join(dir, name), 'utf8')).replace(from, to));
    return dir;
  }

  test('answers 1 with what is wrong and where', async () => {
    const dir = await folder('consumer-lag.yaml', 'target: 0.99', 'target: 99');
    expect(await runCommand(slo, ['lint', '--slo-dir', dir])).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(
        /^consumer-lag\.yaml:\d\d: spec\.objectives\[0\]\.target: must be below 1: what may never fail has no budget to spend; 0\.999 is 99\.9 %; got 99\n$/,
      ),
    });
  });

  test('looks where the settings say', async () => {
    const env = { EVENKEEL_SLO_DIR: await folder('sla.yaml', 'percent: 10', 'percent: 0') };
    const { code, stdout } = await runCommand(slo, ['lint'], { env });
    expect([code, stdout]).toEqual([
      1,
      expect.stringMatching(/^sla\.yaml:\d+: spec\.commitments\[0\]\.credits\[0\]\.percent: /),
    ]);
  });

  test('fails where there is no such folder', async () => {
    await expect(runCommand(slo, ['lint', '--slo-dir', '/nowhere/at/all'])).rejects.toThrow('/nowhere/at/all');
  });

  test('says what the files say, and warns of what so few events cannot meet', async () => {
    const { code, stdout, stderr } = await runCommand(slo, ['lint', '--events', '500']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^order-processing +Confirmed or decided within 500 ms +99\.9 % +99\.5 % +page$/m);
    expect(stdout).toMatch(/^human-decision +Decided within 4 hours +99 % +ticket$/m);
    expect(stderr).toContain(
      'warning: api-availability: 99.9 % of 500 events a month allows no bad one at all; it takes 1,000',
    );
    expect(stderr).not.toContain('human-decision');
    expect((await runCommand(slo, ['lint'])).stderr).toBe('');
  });
});
