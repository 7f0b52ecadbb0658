/** Processes, PostgreSQL or Temporal away for a while, in Prometheus' own steps: who is told of what, and of what not. */
import type { Objective } from '../domain/objectives.ts';
import { type PromtoolTest, query, seriesOf, type Stretch, stretches, type TestFile } from './promtool.ts';
import { scrapeJobs } from './queries.ts';
import { allIsWell, type Presence } from './well-series.ts';

/** As ops/prometheus/prometheus.yml has it: each sample and each look at the rules. */
const STEP_SECONDS = 15;
const STEP = `${STEP_SECONDS}s`;
const MINUTES = 30;
const SAMPLES = (MINUTES * 60) / STEP_SECONDS;

const samples = (seconds: number): number => Math.ceil(seconds / STEP_SECONDS);

export function outageTests(objectives: readonly Objective[]): readonly TestFile[] {
  const tests = [
    apiAway(objectives, 'an outage of the API', 600, 600),
    apiAway(objectives, 'an API that is there ten minutes after Prometheus', 0, 600),
    lateStart(objectives),
    storesRestarted(objectives, 95),
    workedOff(),
  ];
  return [{ name: 'outages', evaluationInterval: STEP, tests }];
}

/** The API's processes there, away for so long, and there again; all else is there. */
function withoutApi(objectives: readonly Objective[], before: number, away: number): PromtoolTest['input_series'] {
  const [first, second] = [samples(before), samples(away)];
  const parts: Presence = [
    ['there', first],
    ['none', second],
    ['there', SAMPLES - first - second],
  ];
  const there = parts.filter(([, count]) => count > 0);
  // Its name is known for a moment longer than it answers.
  const api: Stretch[] = [
    [1, first],
    [0, 2],
    ['none', second - 2],
    [1, SAMPLES - first - second],
  ];
  return allIsWell(objectives, STEP_SECONDS, {
    totals: there,
    postgres: there,
    violations: there,
    temporal: there,
    up: scrapeJobs.map((job) => [job, job === 'evenkeel-api' ? stretches(...api) : stretches([1, SAMPLES])]),
  });
}

const MISSING = 'alertname=~"SliAbsent|FactsStale", alertstate="firing"';
/** How many alerts of each name fired at any time. */
const ever = `count by (alertname) (last_over_time(ALERTS{severity="page", alertstate="firing"}[${MINUTES}m]))`;

function apiAway(objectives: readonly Objective[], what: string, before: number, away: number): PromtoolTest {
  const covered = `ALERTS{alertname="MetricsTargetDown", job="evenkeel-api", alertstate="firing"}`;
  return {
    name: `${what} pages as such, from before to after its numbers are missing: so that it silences that they are`,
    interval: STEP,
    input_series: withoutApi(objectives, before, away),
    promql_expr_test: [
      query(MINUTES, `count_over_time((ALERTS{${MISSING}} unless on () ${covered})[${MINUTES}m:${STEP}])`, []),
      query(MINUTES, ever, [
        [{ alertname: 'FactsStale' }, 3],
        [{ alertname: 'MetricsTargetDown' }, 1],
        [{ alertname: 'SliAbsent' }, objectives.length],
      ]),
    ],
    alert_rule_test: [],
  };
}

function lateStart(objectives: readonly Objective[]): PromtoolTest {
  return {
    name: 'an API that is first scraped 150 seconds after Prometheus began makes no alert of its missing numbers',
    interval: STEP,
    input_series: withoutApi(objectives, 0, 150),
    promql_expr_test: [query(MINUTES, ever, [[{ alertname: 'MetricsTargetDown' }, 1]])],
    alert_rule_test: [],
  };
}

/** What is read is taken away 30 seconds after it was last read, and is there again with the next scrape. */
function storesRestarted(objectives: readonly Objective[], seconds: number): PromtoolTest {
  const [first, second] = [samples(600), samples(seconds)];
  const facts: Presence = [
    ['there', first],
    ['none', second],
    ['there', SAMPLES - first - second],
  ];
  return {
    name: `PostgreSQL and Temporal that are restarted within ${seconds} seconds page nobody`,
    interval: STEP,
    input_series: allIsWell(objectives, STEP_SECONDS, {
      totals: [['there', SAMPLES]],
      postgres: facts,
      violations: facts,
      temporal: facts,
      up: scrapeJobs.map((job) => [job, stretches([1, SAMPLES])]),
    }),
    promql_expr_test: [query(MINUTES, ever, [])],
    alert_rule_test: [],
  };
}

const waited = (age: number): string => stretches(['none', samples(600)], [age, samples(45)], [0, samples(600)]);

/** Ages that were let grow by an outage: the first scrape after it sees them, before anybody could do anything. */
function workedOff(): PromtoolTest {
  const alerts = 'ALERTS{alertname=~"OrderNotStarted|PaymentOutcomeUnknown", alertstate="firing"}';
  return {
    name: 'what waited through an outage pages nobody if it is done within 45 seconds of its end',
    interval: STEP,
    input_series: [
      { series: seriesOf('oldestStartable'), values: waited(600) },
      { series: seriesOf('oldestUnknownPayment'), values: waited(1_500) },
    ],
    promql_expr_test: [query(MINUTES, `count_over_time(${alerts}[${MINUTES}m])`, [])],
    alert_rule_test: [],
  };
}
