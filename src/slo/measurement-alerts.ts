import type { Objective } from '../domain/objectives.ts';
import { metrics } from '../telemetry/metric-names.ts';
import type { AlertRule } from './alert-rule.ts';
import { type Pace, recorded, scrapeJobs, select, worst } from './queries.ts';

const page = { severity: 'page' } as const;

/** What alerts read of each source: a fact that nobody exports would be an alert that never fires. */
const factsOf = {
  postgres: [
    'sloJudgedUntil',
    'oldestStartable',
    'oldestUnknownPayment',
    'failedCompensations',
    'storeBytes',
    'storeBytesMax',
    'storeConnections',
    'storeConnectionsMax',
    'deadLetters',
    'parkedMessages',
    'consumers',
  ],
  violations: ['violations'],
  temporal: ['taskQueuePollers', 'taskQueueBacklogAge'],
} as const;

/** Whether the other alerts can be believed: what is not measured, measured wrongly or not told. */
export function measurementAlerts(objectives: readonly Objective[], pace: Pace): readonly AlertRule[] {
  return [
    ...objectives.map(absent),
    ...objectives.map(goodExceedsTotal),
    judgementStalled,
    ...(['postgres', 'violations', 'temporal'] as const).map(factsStale),
    ...scrapeJobs.map(targetDown),
    {
      alert: 'AlertmanagerDeliveryFailing',
      expr: `sum by (integration) (increase(alertmanager_notifications_failed_total[${pace.of(15 * 60)}])) > 0`,
      labels: page,
      summary: 'Alertmanager cannot deliver its notifications',
      description:
        'Notifications by {{ $labels.integration }} failed within the last 15 minutes: somebody may not have been told.',
    },
    {
      alert: 'Watchdog',
      expr: 'vector(1)',
      labels: { severity: 'none' },
      summary: 'Alerts are evaluated and delivered',
      description: 'Always fires. Whoever receives it raises the alarm when it stops coming.',
    },
  ];
}

function absent({ name, title }: Objective): AlertRule {
  const gone = (series: string): string => `absent(${select(series, { slo: name })})`;
  return {
    alert: 'SliAbsent',
    expr: `${gone(recorded.eventsIncrease('5m'))} or ${gone(recorded.badIncrease('5m'))}`,
    forSeconds: 120,
    labels: { ...page, slo: name },
    summary: `${title}: not measured`,
    description: `There are no numbers for ${name}: whether the objective is met is unknown, and its alerts are blind.`,
  };
}

function goodExceedsTotal({ name, title, source }: Objective): AlertRule {
  const expr =
    source === 'records'
      ? `${select(recorded.good, { slo: name })} > ${select(recorded.events, { slo: name })}`
      : `max(${recorded.goodRequests} > ${recorded.requests})`;
  return {
    alert: 'SliGoodExceedsTotal',
    expr,
    labels: { ...page, slo: name },
    summary: `${title}: more good events than events`,
    description: `{{ $value | humanize }} good ones are more than all there were: ${name} is counted wrongly, and bad events are hidden.`,
  };
}

const judgementStalled: AlertRule = {
  alert: 'SliJudgementStalled',
  expr: `time() - ${worst('sloJudgedUntil')} > 120`,
  forSeconds: 60,
  labels: page,
  summary: 'Nobody judges what became of orders and deliveries',
  description:
    'The objectives are judged up to {{ $value | humanizeDuration }} ago only: what goes wrong now is not counted.',
};

function factsStale(source: keyof typeof factsOf): AlertRule {
  const readAt = select(metrics.factsReadAt.name, { source });
  const gone = [readAt, ...factsOf[source].map((key) => metrics[key].name)].map((series) => `absent(${series})`);
  return {
    alert: 'FactsStale',
    expr: `max(\n  ${[`time() - max(${readAt}) > 120`, ...gone].join('\n  or ')}\n)`,
    forSeconds: 60,
    labels: { ...page, source },
    summary: `What the API's processes know from ${source} is out of date`,
    description: `No process has read all facts from ${source} for two minutes: alerts and dashboards that show them are blind.`,
  };
}

function targetDown(job: (typeof scrapeJobs)[number]): AlertRule {
  const up = select('up', { job });
  return {
    alert: 'MetricsTargetDown',
    expr: `max(${up}) == 0 or absent(${up})`,
    forSeconds: 120,
    labels: { ...page, job },
    summary: `No process of ${job} can be scraped`,
    description: `Prometheus reaches none of the targets of ${job}: they are down, or cannot be reached, or there are none.`,
  };
}
