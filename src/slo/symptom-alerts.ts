import { metrics } from '../telemetry/metric-names.ts';
import type { AlertRule } from './alert-rule.ts';
import { type Pace, recorded, worst } from './queries.ts';

const page = { severity: 'page' } as const;
/** Ages that were let grow by an outage: what waited is given this long to be done once all is back. */
const WORK_OFF_SECONDS = 60;

/** Promises that are broken, or will be soon, whatever the budgets say. */
export function symptomAlerts(pace: Pace): readonly AlertRule[] {
  return [
    {
      alert: 'LedgerViolation',
      expr: `${worst('violations', {}, 'kind')} > 0`,
      labels: page,
      summary: 'Records contradict each other: {{ $labels.kind }}',
      description:
        '{{ $value | humanize }} cases of {{ $labels.kind }} of late: money, stock or an order is not as promised. ' +
        "That this ends does not mean that it is mended: 'evenkeel audit ledgers' tells.",
    },
    {
      alert: 'OrderNotStarted',
      expr: `${worst('oldestStartable')} > 120`,
      forSeconds: WORK_OFF_SECONDS,
      labels: page,
      summary: 'An accepted order waits for its workflow',
      description: 'The oldest accepted order without a workflow has waited for {{ $value | humanizeDuration }}.',
    },
    {
      alert: 'PaymentOutcomeUnknown',
      expr: `${worst('oldestUnknownPayment')} > 900`,
      forSeconds: WORK_OFF_SECONDS,
      labels: page,
      summary: 'Whether a customer was charged is not known',
      description:
        'The oldest request to the payment provider without an outcome is {{ $value | humanizeDuration }} old.',
    },
    {
      alert: 'CompensationFailed',
      expr: `${worst('failedCompensations')} > 0`,
      labels: page,
      summary: 'What an order took could not be given back',
      description: '{{ $value | humanize }} undos wait for a person: stock, money or a shipment is held for nothing.',
    },
    nondeterminism(pace),
    {
      alert: 'NoWorkers',
      expr: `${worst('taskQueuePollers', {}, 'kind')} == 0`,
      forSeconds: 60,
      labels: page,
      summary: 'No worker asks for {{ $labels.kind }} tasks',
      description:
        "Temporal has seen no worker on the orders' task queue for minutes: orders are accepted and stand still.",
    },
    storeNearlyFull(pace),
    {
      alert: 'StoreConnectionsNearlyExhausted',
      expr: `${worst('storeConnections')} / ${worst('storeConnectionsMax')} > 0.85`,
      forSeconds: 120,
      labels: page,
      summary: 'PostgreSQL has hardly any connection left',
      description: '{{ $value | humanizePercentage }} of the connections that PostgreSQL grants are taken.',
    },
  ];
}

function nondeterminism(pace: Pace): AlertRule {
  const failures = 'temporal_workflow_task_execution_failed_total{failure_reason="NonDeterminismError"}';
  const recent = pace.of(600);
  // The series is born with the first failure: it has not risen then. What was there within the day before is not new.
  const born = `(${failures} unless last_over_time(${failures}[${pace.of(86_400)}] offset ${recent}))`;
  return {
    alert: 'WorkflowNondeterminism',
    expr: `sum by (workflow_type) (\n  increase(${failures}[${recent}]) > 0\n  or ${born}\n)`,
    labels: page,
    summary: 'Workflow code does not fit the histories of running orders',
    description:
      'Workflows {{ $labels.workflow_type }} cannot be replayed ({{ $value | humanize }} failures within 10 minutes): ' +
      'their orders stand still until the code fits again.',
  };
}

/** A database that is half empty has time until the morning, however fast it grows. */
function storeNearlyFull(pace: Pace): AlertRule {
  const limit = `(${worst('storeBytesMax')} > 0)`;
  const soon = `predict_linear(${recorded.storeBytes}[${pace.of(6 * 3_600)}], ${(4 * 86_400) / pace.scale})`;
  return {
    alert: 'StoreNearlyFull',
    expr: [
      `${recorded.storeBytes} / ${limit} > 0.8`,
      `or (${recorded.storeBytes} / ${limit} > 0.5 and ${soon} > ${limit})`,
    ].join('\n'),
    forSeconds: 600,
    labels: page,
    summary: 'The database is nearly full',
    description:
      '{{ $value | humanizePercentage }} of the size that the database may have is used; it is over 80 %, or will be ' +
      `full within 4 days as it grew over the last 6 hours (${metrics.storeBytesMax.name}).`,
  };
}
