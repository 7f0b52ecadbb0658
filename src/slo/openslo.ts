import { type JudgedSlo, type Objective, type SloName, sloNames, type Thresholds } from '../domain/objectives.ts';
import { documentsOf, type Finding, findingsOf, inWords, type SourceDocument, type SourceFile } from './documents.ts';
import { indicatorFindings, setFindings, slaFindings } from './lint.ts';
import { anyKind, opensloService, opensloSlo } from './openslo-schema.ts';
import { type Sla, slaDocument, slaOf } from './sla.ts';

/** An objective with what its file says beside the numbers. */
export interface DeclaredObjective extends Objective {
  /** Who answers for it. */
  readonly team: string;
  readonly service: string;
  /** What is good, in a few words: `Confirmed or decided within 500 ms`. */
  readonly goal: string;
  /** PromQL of the two counters. */
  readonly query: { readonly good: string; readonly total: string };
}

export interface Objectives {
  /** Each of `sloNames` once, in that order. */
  readonly objectives: readonly DeclaredObjective[];
  /** Without commitments where no file makes any. */
  readonly sla: Sla;
}

/** Thrown for objectives that cannot be used. The message names every problem with its place and what to do. */
export class ObjectivesError extends Error {
  override readonly name = 'ObjectivesError';
  readonly findings: readonly Finding[];

  constructor(findings: readonly Finding[]) {
    super(`these objectives cannot be used:\n${findings.map((finding) => `  ${inWords(finding)}`).join('\n')}`);
    this.findings = findings;
  }
}

/** An objective as it was read, with the document that it stands in. */
export interface Declaration {
  readonly objective: DeclaredObjective;
  readonly document: SourceDocument;
}

const noSla: Sla = { title: 'Service level agreement', exclusions: [], commitments: [] };

/**
 * Reads objectives and what is promised of them from OpenSLO files. Throws `ObjectivesError` with all that is wrong:
 * what does not have the form, measures what is not measured, is there twice or not at all, or promises more than is
 * aimed for.
 */
export function parseObjectives(files: readonly SourceFile[]): Objectives {
  const findings: Finding[] = [];
  const declarations: Declaration[] = [];
  const services = new Set<string>();
  const promises: { readonly sla: Sla; readonly document: SourceDocument }[] = [];

  for (const file of files) {
    const read = documentsOf(file);
    findings.push(...read.findings);
    for (const document of read.documents) {
      const kind = anyKind.safeParse(document.value, { reportInput: true });
      if (!kind.success) {
        findings.push(...findingsOf(kind.error, document));
        continue;
      }
      const schema = { Service: opensloService, SLO: opensloSlo, SLA: slaDocument }[kind.data.kind];
      const parsed = schema.safeParse(document.value, { reportInput: true });
      if (!parsed.success) findings.push(...findingsOf(parsed.error, document));
      else if (parsed.data.kind === 'Service') services.add(parsed.data.metadata.name);
      else if (parsed.data.kind === 'SLA') promises.push({ sla: slaOf(parsed.data), document });
      else {
        const { name } = parsed.data.metadata;
        if (isSloName(name)) declarations.push({ objective: objectiveOf(name, parsed.data), document });
        else findings.push({ ...document.place(['metadata', 'name']), detail: unknownName(name) });
      }
    }
  }

  findings.push(...declarations.flatMap((declaration) => indicatorFindings(declaration, services)));
  // What could not be read would be missed here for no fault of its own.
  if (findings.length === 0) findings.push(...setFindings(declarations), ...slaFindings(promises, declarations));
  if (findings.length > 0) throw new ObjectivesError(findings);
  const byName = new Map(declarations.map(({ objective }) => [objective.name, objective]));
  return { objectives: sloNames.flatMap((name) => byName.get(name) ?? []), sla: promises[0]?.sla ?? noSla };
}

function objectiveOf(name: SloName, { metadata, spec }: ReturnType<typeof opensloSlo.parse>): DeclaredObjective {
  const { annotations } = metadata;
  const { good, total } = spec.indicator.spec.ratioMetric;
  const [objective] = spec.objectives;
  const [window] = spec.timeWindow;
  if (objective === undefined || window === undefined) throw new Error('the schema lets no SLO in without these');
  return {
    name,
    title: metadata.displayName,
    description: spec.description,
    target: objective.target,
    windowDays: Number.parseInt(window.duration, 10),
    thresholdMs: annotations['evenkeel.dev/threshold'] ?? null,
    severity: annotations['evenkeel.dev/severity'],
    source: annotations['evenkeel.dev/source'],
    team: annotations['evenkeel.dev/team'],
    service: spec.service,
    goal: objective.displayName,
    query: { good: good.metricSource.spec.query, total: total.metricSource.spec.query },
  };
}

/** How long each event that is judged from records may take. */
export function thresholdsOf(objectives: readonly Objective[]): Thresholds {
  const thresholds = objectives.flatMap(({ name, thresholdMs }): readonly [JudgedSlo, number][] =>
    name === 'api-availability' || thresholdMs === null ? [] : [[name, thresholdMs]],
  );
  return Object.fromEntries(thresholds) as Record<JudgedSlo, number>;
}

function isSloName(name: string): name is SloName {
  return (sloNames as readonly string[]).includes(name);
}

function unknownName(name: string): string {
  return `nothing measures '${name}'; an objective is one of ${sloNames.join(', ')}`;
}
