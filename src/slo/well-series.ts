/** What the processes export while all is well, for stories of what is there and when. */
import type { Objective } from '../domain/objectives.ts';
import type { MetricKey } from '../telemetry/metric-names.ts';
import { countersOf } from './budget-stories.ts';
import { type PromtoolTest, seriesOf, stretches } from './promtool.ts';
import { type scrapeJobs, select } from './queries.ts';

/** So many samples that are there, and so many that are not. */
export type Presence = readonly (readonly ['there' | 'none', samples: number])[];

export interface Presences {
  /** Counts of the objectives, which a process knows though it cannot read them. */
  readonly totals: Presence;
  readonly postgres: Presence;
  readonly violations: Presence;
  readonly temporal: Presence;
  /** Of scrape jobs, the values of `up`. */
  readonly up: readonly (readonly [job: (typeof scrapeJobs)[number], values: string])[];
}

/** Of each fact that alerts read, a value that is no reason for one. */
const well: Readonly<
  Record<'postgres' | 'violations' | 'temporal', readonly (readonly [MetricKey, number, Record<string, string>?])[]>
> = {
  postgres: [
    ['oldestStartable', 0],
    ['oldestUnknownPayment', 0],
    ['failedCompensations', 0],
    ['storeBytes', 1],
    ['storeBytesMax', 0],
    ['storeConnections', 10],
    ['storeConnectionsMax', 100],
    ['deadLetters', 0],
    ['parkedMessages', 0],
    ['consumers', 0, { state: 'in_trouble' }],
    ['breakerForcedSeconds', 0, { breaker: 'payment' }],
    ['keyExpirySeconds', 365 * 86_400],
  ],
  violations: [['violations', 0, { kind: 'lost_order' }]],
  temporal: [
    ['taskQueuePollers', 2, { kind: 'workflow' }],
    ['taskQueueBacklogAge', 0, { kind: 'workflow' }],
  ],
};

/** Everything that alerts read, with a sample each so many seconds where it is there, and no reason for any alert. */
export function allIsWell(
  objectives: readonly Objective[],
  stepSeconds: number,
  { totals, up, ...facts }: Presences,
): PromtoolTest['input_series'] {
  const sources = ['postgres', 'violations', 'temporal'] as const;
  const clock = (there: Presence): string => ticking(there, stepSeconds);
  return [
    ...objectives.flatMap((objective) => {
      const { good, events } = countersOf(objective);
      return [good, events].map((series) => ({ series, values: ticking(totals, 100) }));
    }),
    { series: seriesOf('sloJudgedUntil'), values: clock(facts.postgres) },
    ...sources.map((source) => ({ series: seriesOf('factsReadAt', { source }), values: clock(facts[source]) })),
    ...sources.flatMap((source) =>
      well[source].map(([key, value, labels]) => ({
        series: seriesOf(key, labels),
        values: presence(facts[source], value),
      })),
    ),
    ...up.map(([job, values]) => ({ series: select('up', { job, instance: 'one' }), values })),
  ];
}

/** A gauge of this value where it is there. */
export function presence(there: Presence, value: number): string {
  return stretches(...there.map(([what, samples]) => [what === 'none' ? what : value, samples] as const));
}

/** A counter or a clock that goes on while it is not there. */
function ticking(there: Presence, perSample: number): string {
  let at = 0;
  const text = there.map(([what, samples]) => {
    const from = at;
    at += samples;
    return what === 'none' ? stretches([what, samples]) : `${from * perSample}+${perSample}x${samples - 1}`;
  });
  return text.join(' ');
}
