/** The recording rules against a count by hand: random traffic, gaps, restarts, processes that lag, leave and join. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Objective } from '../../src/domain/objectives.ts';
import { loadObjectives } from '../../src/slo/files.ts';
import { recorded } from '../../src/slo/queries.ts';
import { budgetOf } from '../../src/slo/rules.ts';
import { type WindowName, windowSeconds } from '../../src/slo/windows.ts';
import { type History, startHistory } from '../support/prometheus-history.ts';
import { expressionOf, sumRules } from '../support/recorded-expressions.ts';
import { type Bounds, EVALUATION_SECONDS, recordsOracle, requestsOracle } from '../support/traffic-oracle.ts';
import { makeWorld, type World } from '../support/traffic-world.ts';

const EPOCH = Date.UTC(2026, 0, 5) / 1_000;
const SECONDS = 8 * 3_600;

const { objectives } = await loadObjectives();
const windows = Object.keys(windowSeconds) as WindowName[];

/** What the rules say of one objective and window at one moment; undefined where they say nothing. */
interface Said {
  readonly events: number | undefined;
  readonly good: number | undefined;
  readonly bad: number | undefined;
  readonly ratio: number | undefined;
  readonly burn: number | undefined;
}

// The same each time, so that a change is what fails; SEED=n looks at others, as whoever changes the rules should.
describe.each([1, 2, Number(process.env['SEED'] ?? 3)])('traffic of seed %d', { timeout: 300_000 }, (seed) => {
  const world = makeWorld(objectives, seed, SECONDS, EPOCH);
  let history: History;
  let recordedAt: ReadonlySet<number>;
  beforeAll(async () => {
    history = await startHistory(world.series, sumRules(objectives), EVALUATION_SECONDS);
    recordedAt = new Set(history.moments.filter(({ isRecorded }) => isRecorded).map(({ at }) => since(at)));
  });
  afterAll(async () => history?.close());

  it.each(windows)('within %s, what the rules record is what happened', async (window) => {
    const said = await ask(history, window);
    const wrong: string[] = [];
    let exact = 0;
    for (const objective of objectives) {
      const judge = oracleOf(world, objective, recordedAt);
      for (const { at: moment } of history.moments) {
        const at = since(moment);
        const here = said(objective, moment);
        const found = [...judge(here, at, windowSeconds[window]), ...disagreements(here, objective)];
        if (found.length === 0) exact += 1;
        wrong.push(...found.map((problem) => `${objective.name} at ${at} s: ${problem}`));
      }
    }
    expect(exact).toBeGreaterThan(0);
    expect(wrong.slice(0, 10), `${wrong.length} differences`).toEqual([]);
  });
});

/** Seconds since the beginning, to the millisecond. */
function since(moment: number): number {
  return Number((moment - EPOCH).toFixed(3));
}

async function ask(history: History, window: WindowName) {
  const [first, last] = [history.moments[0]?.at ?? 0, history.moments.at(-1)?.at ?? 0];
  const valuesOf = async (record: string) => {
    const ranges = await history.range(expressionOf(objectives, record), first, last, EVALUATION_SECONDS);
    const bySlo = new Map(ranges.map(({ labels, values }) => [labels['slo'], values]));
    return ({ name }: Objective, moment: number): number | undefined => bySlo.get(name)?.get(moment);
  };
  const events = await valuesOf(recorded.eventsIncrease(window));
  const good = await valuesOf(recorded.goodIncrease(window));
  const bad = await valuesOf(recorded.badIncrease(window));
  const ratio = await valuesOf(recorded.errorRatio(window));
  const burn = await valuesOf(recorded.burnRate(window));
  return (objective: Objective, moment: number): Said => ({
    events: events(objective, moment),
    good: good(objective, moment),
    bad: bad(objective, moment),
    ratio: ratio(objective, moment),
    burn: burn(objective, moment),
  });
}

/** What is wrong with the numbers of events, in words. */
type Judge = (said: Said, at: number, seconds: number) => string[];

function oracleOf(world: World, { name, source }: Objective, recordedAt: ReadonlySet<number>): Judge {
  const kinds = ['events', 'good'] as const;
  if (source === 'process') {
    const requests = requestsOracle(world, Math.min(...recordedAt));
    return (said, at, seconds) => kinds.flatMap((kind) => outside(kind, said[kind], requests(kind, at, seconds)));
  }
  const truth = world.truths.get(name);
  if (truth === undefined) throw new Error(`nothing happened to ${name}`);
  const isRecorded = (at: number): boolean => recordedAt.has(since(EPOCH + at));
  const records = recordsOracle(world, isRecorded);
  return (said, at, seconds) =>
    kinds.flatMap((kind) => {
      const value = said[kind];
      const { known, ...bounds } = records(truth[kind], at, seconds);
      if (known === 'none') return value === undefined ? [] : [`${kind} ${value}, though nothing was seen`];
      if (value === undefined) return known === 'fading' ? [] : [`no ${kind}, though some were seen`];
      // Less than before: what knew more cannot be reached.
      if (typeof known === 'number' && known >= 0 && isRecorded(at) && value !== known)
        return [`${kind} ${value}, and not ${known}`];
      return outside(kind, value, bounds);
    });
}

/** Within 2 events or 1 %, whichever is more. */
function outside(kind: string, value: number | undefined, { least, most }: Bounds): string[] {
  const tolerance = (count: number): number => Math.max(2, 0.01 * count);
  if (value === undefined || (value >= least - tolerance(least) && value <= most + tolerance(most))) return [];
  return [`${kind} ${value}, and not ${least} to ${most}`];
}

/** What is worked out from numbers of events, and does not fit them. */
function disagreements({ events, good, bad, ratio, burn }: Said, { target }: Objective): string[] {
  const expectedBad = events === undefined || good === undefined ? undefined : Math.max(0, events - good);
  const expectedRatio = expectedBad === undefined || !events ? undefined : expectedBad / events;
  const expectedBurn = expectedRatio === undefined ? undefined : expectedRatio / budgetOf(target);
  return [
    ...(bad === expectedBad ? [] : [`bad ${bad}, and not ${expectedBad}`]),
    ...(ratio === expectedRatio ? [] : [`ratio ${ratio}, and not ${expectedRatio}`]),
    ...(burn === expectedBurn ? [] : [`burn rate ${burn}, and not ${expectedBurn}`]),
  ];
}
