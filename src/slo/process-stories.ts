/** Processes that come and go, and records that fall: what the objectives' rules make of them. */
import type { Objective } from '../domain/objectives.ts';
import { countersOf } from './budget-stories.ts';
import { firing, type PromtoolTest, query, rising, type TestFile } from './promtool.ts';
import { recorded, select } from './queries.ts';

const BUDGETS = '.+(BudgetBurn|NothingGood)';

export function processTests(objectives: readonly Objective[]): readonly TestFile[] {
  return [{ name: 'processes', evaluationInterval: '1m', tests: [replicas(objectives), restored(objectives)] }];
}

/**
 * Two processes: of what is read from records one of them lags, the other leaves and comes back; of what each counts one
 * begins again at zero, and a third joins. Ten events a minute and process, all of them good.
 */
function replicas(objectives: readonly Objective[]): PromtoolTest {
  const perMinute = rising([[10, 60]]);
  const judged = objectives.filter(({ source }) => source === 'records');
  const counted = objectives.filter(({ source }) => source === 'process');
  const half = (at: number, expected: (objective: Objective) => number) =>
    objectives.map((objective) =>
      query(at, `round(${select(recorded.eventsIncrease('30m'), { slo: objective.name })})`, [
        [{ slo: objective.name }, expected(objective)],
      ]),
    );
  return {
    name: 'processes that lag, leave, begin again and join change no count and make no alert',
    interval: '1m',
    input_series: [
      ...judged.flatMap((objective) => both(objective, 'api-1', `${rising([[10, 34]])} stale _x4 400+10x20`)),
      ...judged.flatMap((objective) => both(objective, 'api-2', `0x5 ${rising([[10, 54]])}`)),
      ...counted.flatMap((objective) => both(objective, 'api-1', `${rising([[10, 39]])} ${rising([[10, 20]], 10)}`)),
      ...counted.flatMap((objective) => both(objective, 'api-2', perMinute)),
      ...counted.flatMap((objective) => both(objective, 'api-3', `_x30 ${rising([[10, 30]])}`)),
    ],
    promql_expr_test: [
      // Where one is not reached, what it knew is not forgotten, though the other is six minutes behind.
      ...half(35, ({ source }) => (source === 'records' ? 290 : 650)),
      // When it is back, what the other did not know in between is not new.
      ...judged.map(({ name }) =>
        query(45, select(recorded.eventsIncrease('10m'), { slo: name }), [
          [{ __name__: recorded.eventsIncrease('10m'), slo: name }, 110],
        ]),
      ),
      // All of the time, and at the moment after the one that left came back, not a single event is missed or doubled.
      ...half(30, ({ source }) => (source === 'records' ? 300 : 600)),
      ...half(60, ({ source }) => (source === 'records' ? 300 : 900)),
      ...[30, 36, 38, 41, 45, 60].flatMap((at) => [
        query(at, `${recorded.badIncrease('30m')} > 0.01`, []),
        firing(at, `${BUDGETS}|Sli.+`, []),
      ]),
    ],
    alert_rule_test: [],
  };
}

/** The records fall back to what they were: it is no million of new events, as it would be for a counter. */
function restored(objectives: readonly Objective[]): PromtoolTest {
  const judged = objectives.filter(({ source }) => source === 'records');
  const good = `${rising([[10, 29]], 1_000_000)} ${rising([[10, 30]], 900_000)}`;
  const events = `${rising([[10, 29]], 1_010_000)} ${rising([[10, 30]], 910_000)}`;
  const rose = recorded.eventsIncrease('1h');
  return {
    name: 'a database that is restored from a backup makes neither events nor an alert',
    interval: '1m',
    input_series: judged.flatMap((objective) => [
      { series: countersOf(objective).good, values: good },
      { series: countersOf(objective).events, values: events },
    ]),
    promql_expr_test: [
      ...[29, 31, 32, 33, 45, 60].flatMap((at) => [
        query(at, `${rose} > 600`, []),
        query(at, `${recorded.badIncrease('1h')} > 0`, []),
        firing(at, BUDGETS, []),
      ]),
      // Since the least that was recorded, which is what was restored, or a little later.
      query(60, `count(${rose} > 270 < 310)`, [[{}, judged.length]]),
    ],
    alert_rule_test: [],
  };
}

/** Good ones and all, which are the same. */
function both(objective: Objective, instance: string, values: string) {
  const { good, events } = countersOf(objective, instance);
  return [
    { series: good, values },
    { series: events, values },
  ];
}
