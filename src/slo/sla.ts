import { z } from 'zod';
import { sloNames, type SloName } from '../domain/objectives.ts';

/** What a customer gets back for a month in which the promise was broken by so much. */
export interface Credit {
  /** Applies where the month's share of good events is below this. */
  readonly below: number;
  /** Of the month's fee. */
  readonly percent: number;
}

/** What is promised about one objective, per calendar month in UTC. */
export interface Commitment {
  readonly slo: SloName;
  /** Looser than the objective's. */
  readonly target: number;
  /** The highest `below` first. */
  readonly credits: readonly Credit[];
}

export interface Sla {
  readonly title: string;
  /** In words: what a broken promise does not count for. */
  readonly exclusions: readonly string[];
  readonly commitments: readonly Commitment[];
}

const share = z.number().gt(0, 'must be above 0').lt(1, 'must be below 1');

/** `ops/slo/sla.yaml`: OpenSLO has no kind for it, so it is our own. */
export const slaDocument = z.strictObject({
  apiVersion: z.literal('evenkeel.dev/v1', 'must be evenkeel.dev/v1'),
  kind: z.literal('SLA'),
  metadata: z.strictObject({ name: z.string().min(1), displayName: z.string().min(1) }),
  spec: z.strictObject({
    period: z.literal('calendar-month', 'must be calendar-month'),
    exclusions: z.array(z.string().trim().min(1)),
    commitments: z.array(
      z
        .strictObject({
          objective: z.enum(sloNames),
          target: share,
          credits: z.array(z.strictObject({ below: share, percent: z.number().gt(0).max(100) })).min(1),
        })
        .superRefine(({ target, credits }, context) => {
          for (const [at, { below, percent }] of credits.entries()) {
            const former = credits[at - 1];
            const refuse = (field: string, message: string): void =>
              context.addIssue({ code: 'custom', message, path: ['credits', at, field], input: credits[at] });
            if (former === undefined && below !== target) refuse('below', `must be the target, ${target}, at first`);
            if (former !== undefined && below >= former.below) refuse('below', 'must be below the one before it');
            if (former !== undefined && percent <= former.percent) refuse('percent', 'must be above the one before it');
          }
        }),
    ),
  }),
});

/** The promise in a document that has its form. */
export function slaOf({ metadata, spec }: z.output<typeof slaDocument>): Sla {
  return {
    title: metadata.displayName,
    exclusions: spec.exclusions,
    commitments: spec.commitments.map(({ objective, target, credits }) => ({ slo: objective, target, credits })),
  };
}

/** Percent of the month's fee that are due back where this share of the month's events was good. */
export function creditFor({ credits }: Commitment, sli: number): number {
  return Math.max(0, ...credits.filter(({ below }) => sli < below).map(({ percent }) => percent));
}
