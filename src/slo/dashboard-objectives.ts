import type { Objective } from '../domain/objectives.ts';
import { foreign } from './dashboard-queries.ts';
import type { Dashboard, Section } from './dashboard-panels.ts';
import { runbookOf } from './alert-catalog.ts';
import { inAlertNames } from './burn-alerts.ts';
import { recorded, select, worst } from './queries.ts';
import { BUDGET_DAYS, type WindowName, burnRates } from './windows.ts';

const shown: readonly WindowName[] = ['5m', '1h', '6h', '3d'];
/** With the place of its runbook, which annotations hold and series do not. */
const firing = `label_replace(${foreign.alerts}{alertstate="firing", severity!="none"}, "runbook", "${runbookOf('$1')}", "alertname", "(.*)")`;
const NOT_ENOUGH = 'not enough data';

/** How each objective is met, what is left of its budget, and how fast that is spent. */
export function objectivesDashboard(objectives: readonly Objective[]): Dashboard {
  return {
    uid: 'evenkeel-objectives',
    title: 'Evenkeel: objectives',
    description: 'What is promised, how well it is kept, and how long the error budgets last',
    sections: [overview(objectives), ...objectives.map(ofObjective)],
  };
}

function overview(objectives: readonly Objective[]): Section {
  return {
    title: 'What is wrong now',
    panels: [
      {
        title: 'Alerts',
        type: 'table',
        unit: 'short',
        width: 12,
        queries: [{ expr: firing }],
        nothing: 'none',
      },
      {
        title: 'Budget left of each',
        type: 'stat',
        unit: 'percentunit',
        width: 12,
        queries: objectives.map(({ name, title }) => ({
          expr: select(recorded.budgetLeft, { slo: name }),
          legend: title,
        })),
        bad: { to: 0 },
        nothing: NOT_ENOUGH,
      },
      {
        title: 'Judged until, seconds ago',
        description: 'How far the judge is behind: what came later is in no objective yet.',
        type: 'stat',
        unit: 's',
        width: 12,
        queries: [{ expr: `time() - ${worst('sloJudgedUntil')}` }],
        bad: { from: 120 },
        nothing: 'nothing measures',
      },
    ],
  };
}

function ofObjective({ name, title, description, target, severity }: Objective): Section {
  const labels = { slo: name };
  const window: WindowName = `${BUDGET_DAYS}d`;
  return {
    title,
    panels: [
      {
        title: `${title}: good`,
        description: `${description} The objective is ${Number((target * 100).toFixed(4))} % over ${BUDGET_DAYS} days.`,
        type: 'stat',
        unit: 'percentunit',
        width: 4,
        queries: [{ expr: `1 - ${select(recorded.errorRatio(window), labels)}` }],
        bad: { to: target },
        nothing: NOT_ENOUGH,
      },
      {
        title: `${title}: budget left`,
        type: 'stat',
        unit: 'percentunit',
        width: 4,
        queries: [{ expr: select(recorded.budgetLeft, labels) }],
        bad: { to: 0 },
        nothing: NOT_ENOUGH,
      },
      {
        title: `${title}: bad events`,
        description: `Within ${BUDGET_DAYS} days.`,
        type: 'stat',
        unit: 'short',
        width: 4,
        queries: [{ expr: select(recorded.badIncrease(window), labels) }],
        nothing: NOT_ENOUGH,
      },
      {
        title: `${title}: burn rate`,
        description: `1 spends the budget in just ${BUDGET_DAYS} days; the line is where it ${severity === 'page' ? 'pages' : 'makes a ticket'}: ${runbookOf(`${inAlertNames(name)}BudgetBurn`)}`,
        type: 'timeseries',
        unit: 'none',
        width: 12,
        queries: shown.map((each) => ({ expr: select(recorded.burnRate(each), labels), legend: each })),
        bad: { from: Math.max(...burnRates.filter((pair) => pair.severity === severity).map(({ factor }) => factor)) },
      },
      {
        title: `${title}: events`,
        description: 'Within the five minutes before.',
        type: 'timeseries',
        unit: 'short',
        width: 12,
        queries: [
          { expr: select(recorded.eventsIncrease('5m'), labels), legend: 'all' },
          { expr: select(recorded.badIncrease('5m'), labels), legend: 'bad' },
        ],
      },
    ],
  };
}
