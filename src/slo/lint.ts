import { sloNames, type SloName } from '../domain/objectives.ts';
import { type LabelValues, type MetricKey, type MetricSpec, metrics } from '../telemetry/metric-names.ts';
import type { Finding, SourceDocument } from './documents.ts';
import type { Declaration } from './openslo.ts';
import { isWithin, parseSelector, sameLabels, type Selector } from './selector.ts';
import type { Sla } from './sla.ts';
import { burnRates } from './windows.ts';
import { percent } from './words.ts';

/** Counters that count a part of what others count, under the same labels. */
const partOf = new Map<string, string>([
  [metrics.sloGood.name, metrics.sloEvents.name],
  [metrics.apiGood.name, metrics.apiRequests.name],
]);

/** The histograms that show what an objective is about: they need a bucket that ends at its threshold. */
const histograms: Partial<Readonly<Record<SloName, MetricKey>>> = {
  'order-processing': 'orderSeconds',
  'delivery-platform': 'deliverySeconds',
  'delivery-end-to-end': 'deliverySeconds',
};

const ratioPath = ['spec', 'indicator', 'spec', 'ratioMetric'] as const;

/** What is wrong with one objective, seen by itself: what it measures, whether that exists, and where it stands. */
export function indicatorFindings(declaration: Declaration, services: ReadonlySet<string>): readonly Finding[] {
  const { objective, document } = declaration;
  const findings: Finding[] = [];
  const refuse = (path: readonly PropertyKey[], detail: string): void => {
    findings.push({ ...document.place(path), detail });
  };
  if (document.file !== `${objective.name}.yaml`) {
    refuse(['metadata', 'name'], `must stand in ${objective.name}.yaml, where people look for it`);
  }
  if (!services.has(objective.service)) {
    refuse(['spec', 'service'], `there is no Service '${objective.service}'; describe it in services.yaml`);
  }
  const least = leastTarget(objective.severity);
  if (objective.target <= least) {
    const detail = `must be above ${percent(least)}: even if nothing were good, it would not burn fast enough for its alerts`;
    refuse(['spec', 'objectives', 0, 'target'], detail);
  }
  thresholdProblems(declaration).forEach((detail) =>
    refuse(['metadata', 'annotations', 'evenkeel.dev/threshold'], detail),
  );
  const selectors = (['good', 'total'] as const).map((part) => {
    const path = [...ratioPath, part, 'metricSource', 'spec', 'query'];
    const selector = parseSelector(objective.query[part]);
    if (selector === undefined) refuse(path, 'must be max(metric{label="value"}) or sum(metric{label="value"})');
    else selectorProblems(selector, declaration).forEach((detail) => refuse(path, detail));
    return selector;
  });
  const [good, total] = selectors;
  if (good !== undefined && total !== undefined && !isPart(good, total)) {
    refuse(
      [...ratioPath, 'good', 'metricSource', 'spec', 'query'],
      'counts what total does not: nothing could be good',
    );
  }
  return findings;
}

function isPart(good: Selector, total: Selector): boolean {
  return isWithin(good, total)
    ? !sameLabels(good, total)
    : partOf.get(good.metric) === total.metric && sameLabels(good, total);
}

/** With a budget as large as this, a total outage burns no faster than the alerts ask for: nobody would be told. */
function leastTarget(severity: 'page' | 'ticket'): number {
  const factors = burnRates.filter((rate) => severity === 'page' || rate.severity === 'ticket');
  return 1 - 1 / Math.max(...factors.map(({ factor }) => factor));
}

function thresholdProblems({ objective: { name, thresholdMs } }: Declaration): readonly string[] {
  if (name === 'api-availability') {
    return thresholdMs === null ? [] : ['means nothing here: the status of an answer decides; leave it out'];
  }
  if (thresholdMs === null) return ['is missing; say how long it may take, such as 500ms'];
  const key = histograms[name];
  if (key === undefined) return [];
  const { name: metric, buckets = [] }: MetricSpec = metrics[key];
  if (buckets.includes(thresholdMs / 1_000)) return [];
  return [`must be a bucket of ${metric}: ${buckets.join(', ')} seconds; add one in src/telemetry/metric-names.ts`];
}

function selectorProblems({ metric, labels, aggregation }: Selector, { objective }: Declaration): readonly string[] {
  const spec = Object.values<MetricSpec>(metrics).find(({ name }) => name === metric);
  if (spec === undefined) return [`there is no metric ${metric}; docs/metrics.md lists them`];
  if (spec.type !== 'counter') return [`${metric} is a ${spec.type}, and events are counted by counters`];
  if (spec.from !== objective.source) {
    return [`${metric} is counted from ${spec.from}, and evenkeel.dev/source says ${objective.source}`];
  }
  const wanted = spec.from === 'records' ? 'max' : 'sum';
  return [
    ...(aggregation === wanted ? [] : [`must take the ${wanted}: ${whyAggregated[wanted]}`]),
    ...Object.entries(labels).flatMap(([label, value]) => labelProblems(spec, label, value)),
    ...('slo' in spec.labels && labels['slo'] !== objective.name ? [`must select slo="${objective.name}"`] : []),
  ];
}

const whyAggregated = {
  max: 'every API process exports the same count, from records',
  sum: 'every process counts its own',
} as const;

function labelProblems({ name, labels }: MetricSpec, label: string, value: string): readonly string[] {
  const values: LabelValues | undefined = labels[label];
  if (values === undefined) return [`${name} has no label ${label}`];
  return 'atMost' in values || values.includes(value) ? [] : [`${label} of ${name} is never "${value}"`];
}

/** What is wrong with all of them together: each that is measured has one objective. */
export function setFindings(declarations: readonly Declaration[]): readonly Finding[] {
  return sloNames.flatMap((name): readonly Finding[] => {
    const [first, ...others] = declarations.filter(({ objective }) => objective.name === name);
    if (first === undefined) {
      const detail = `is missing: ${name} is measured and needs an objective; copy ops/slo/${name}.yaml`;
      return [{ file: `${name}.yaml`, line: 1, path: '', detail }];
    }
    return others.map(({ document }) => ({
      ...document.place(['metadata', 'name']),
      detail: `${name} has an objective already, in ${inFile(first.document)}; keep one`,
    }));
  });
}

function inFile(document: SourceDocument): string {
  const { file, line } = document.place(['metadata', 'name']);
  return `${file}:${line}`;
}

/** What is wrong with the promises: one agreement, each objective once, and looser than what is aimed for. */
export function slaFindings(
  promises: readonly { readonly sla: Sla; readonly document: SourceDocument }[],
  declarations: readonly Declaration[],
): readonly Finding[] {
  const [first, ...others] = promises;
  const targets = new Map(declarations.map(({ objective }) => [objective.name, objective.target]));
  const seen = new Set<SloName>();
  return [
    ...others.map(({ document }) => ({ ...document.place([]), detail: 'is a second SLA; put all in one' })),
    ...(first?.sla.commitments ?? []).flatMap(({ slo, target }, at): readonly Finding[] => {
      const place = (field: string) => first?.document.place(['spec', 'commitments', at, field]);
      const found = (field: string, detail: string): readonly Finding[] => {
        const where = place(field);
        return where === undefined ? [] : [{ ...where, detail }];
      };
      if (seen.has(slo)) return found('objective', `${slo} is promised twice; keep one`);
      seen.add(slo);
      const aim = targets.get(slo);
      if (aim === undefined) return found('objective', `${slo} has no objective, and what is not aimed for is luck`);
      if (target < aim) return [];
      const detail = `promises ${percent(target)} where the objective is ${percent(aim)}: an SLA must be looser than its SLO`;
      return found('target', detail);
    }),
  ];
}

/** What is allowed and most likely a mistake: an objective that a single bad event breaks, at so many events a month. */
export function trafficWarnings(
  objectives: readonly { readonly name: SloName; readonly target: number }[],
  eventsPerMonth: number,
): readonly string[] {
  return objectives.flatMap(({ name, target }) => {
    const allowed = Math.floor(Number((eventsPerMonth * (1 - target)).toFixed(6)));
    if (allowed >= 1) return [];
    const needed = Math.ceil(Number((1 / (1 - target)).toFixed(6)));
    const events = eventsPerMonth.toLocaleString('en-GB');
    return [
      `${name}: ${percent(target)} of ${events} events a month allows no bad one at all; it takes ${needed.toLocaleString('en-GB')} to allow one`,
    ];
  });
}
