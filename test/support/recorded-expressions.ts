import type { Objective } from '../../src/domain/objectives.ts';
import { paceOf, recorded } from '../../src/slo/queries.ts';
import { type RecordingRule, recordingRules, type RuleGroup } from '../../src/slo/rules.ts';

/** The sums, which have to be recorded: everything else is made of what they were at several moments. */
const sums: ReadonlySet<string> = new Set([recorded.events, recorded.good, recorded.requests, recorded.goodRequests]);

/** The group of the sums alone. */
export function sumRules(objectives: readonly Objective[]): RuleGroup<RecordingRule> {
  const [group] = recordingRules(objectives, paceOf());
  if (group === undefined) throw new Error('there are no recording rules');
  return { ...group, rules: group.rules.filter(({ record }) => sums.has(record)) };
}

/**
 * The expression behind a recorded series, down to the sums: where a rule names a series that another one records, its
 * expression stands instead. It says at every moment what Prometheus would have recorded.
 */
export function expressionOf(objectives: readonly Objective[], record: string): string {
  const rules = recordingRules(objectives, paceOf()).flatMap((group) => group.rules);
  const expanded = (name: string): string => {
    const parts = rules
      .filter((rule) => rule.record === name)
      .map(({ expr, labels = {} }) =>
        Object.entries(labels).reduce(
          (labelled, [label, value]) => `label_replace(${labelled}, "${label}", "${value}", "", "")`,
          expr.replaceAll(/evenkeel:[\w:]+/g, (used) => (sums.has(used) ? used : expanded(used))),
        ),
      );
    if (parts.length === 0) throw new Error(`no rule records ${name}`);
    return `(${parts.join(' or ')})`;
  };
  return expanded(record);
}
