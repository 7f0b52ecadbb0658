import type { Objective } from '../domain/objectives.ts';
import { metrics } from '../telemetry/metric-names.ts';
import type { AlertRule } from './alert-rule.ts';
import { type Pace, recorded, scrapeJobs, select, worst } from './queries.ts';

const page = { severity: 'page' } as const;

/**
 * Where no process of the API can be scraped, that is the page, and silences that their numbers are missing (ops/
 * alertmanager): it has to come before and end after, by more than the steps in which Prometheus looks. What is missing
 * waits longer also than PostgreSQL, Temporal or the API take to begin again.
 */
const TARGET_DOWN_SECONDS = 120;
const TARGET_BACK_SECONDS = 60;
const FACTS_MISSING_SECONDS = 180;
/** Numbers of requests take two scrapes, and a look at the rules, to be there. */
const SLI_MISSING_SECONDS = 240;

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
    'breakerForcedSeconds',
    'keyExpirySeconds',
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
    forSeconds: SLI_MISSING_SECONDS,
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
    forSeconds: FACTS_MISSING_SECONDS,
    labels: { ...page, source },
    summary: `What the API's processes know from ${source} is out of date`,
    description: `No process of the API has shown all that it reads from ${source} for over three minutes: alerts and dashboards that show it are blind.`,
  };
}

function targetDown(job: (typeof scrapeJobs)[number]): AlertRule {
  const up = select('up', { job });
  return {
    alert: 'MetricsTargetDown',
    expr: `max(${up}) == 0 or absent(${up})`,
    forSeconds: TARGET_DOWN_SECONDS,
    keepSeconds: TARGET_BACK_SECONDS,
    labels: { ...page, job },
    summary: `No process of ${job} can be scraped`,
    description: `Prometheus reaches none of the targets of ${job}: they are down, or cannot be reached, or there are none.`,
  };
}
