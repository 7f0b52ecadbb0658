import { z } from 'zod';

/**
 * What is read of OpenSLO v1 (https://github.com/OpenSLO/OpenSLO#specification): services, and objectives with an
 * indicator of their own that is a ratio of two counters, over a rolling window, budgeted by occurrences. Everything else
 * that the specification knows is refused rather than read past.
 */

/** Names by RFC 1123, as the specification asks for at least. */
const name = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be 1 to 63 of a-z, 0-9 and -, and begin and end without -');

const description = z.string().trim().min(1).max(1_050);

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `500ms`, `30s`, `4h`, as milliseconds. OpenSLO's own durations know nothing below a minute. */
const threshold = z
  .string()
  .regex(/^[1-9]\d{0,5}(ms|s|m|h|d)$/, 'must be a whole number with ms, s, m, h or d behind it, such as 500ms or 4h')
  .transform((text) => {
    const [, count = '', unit = ''] = /^(\d+)(\w+)$/.exec(text) ?? [];
    return Number(count) * (unitMs[unit] ?? Number.NaN);
  });

/** The field is OpenSLO's for what it has no field for; keys of others are none of our business. */
const annotations = z.looseObject({
  'evenkeel.dev/threshold': threshold.optional(),
  'evenkeel.dev/severity': z.enum(['page', 'ticket']),
  'evenkeel.dev/source': z.enum(['records', 'process']),
  'evenkeel.dev/team': name,
});
const ownAnnotations = new Set(Object.keys(annotations.shape));

const labels = z.record(z.string(), z.union([z.string(), z.array(z.string())])).optional();

const metric = z.strictObject({
  metricSource: z.strictObject({
    type: z.literal('Prometheus', 'must be Prometheus'),
    spec: z.strictObject({ query: z.string().min(1) }),
  }),
});

/** Millionths are what budgets are counted in, and six decimals what anybody can mean. */
const target = z
  .number('must be a number such as 0.999 (say that in place of targetPercent: 99.9)')
  .gt(0, 'must be above 0')
  .lt(1, 'must be below 1: what may never fail has no budget to spend; 0.999 is 99.9 %')
  .refine((value) => Number(value.toFixed(6)) === value, 'must have at most six decimals');

export const opensloService = z.strictObject({
  apiVersion: z.literal('openslo/v1', 'must be openslo/v1'),
  kind: z.literal('Service'),
  metadata: z.strictObject({ name, displayName: z.string().min(1).optional(), labels }),
  spec: z.strictObject({ description: description.optional() }),
});

export const opensloSlo = z.strictObject({
  apiVersion: z.literal('openslo/v1', 'must be openslo/v1'),
  kind: z.literal('SLO'),
  metadata: z.strictObject({
    name,
    displayName: z.string().min(1).max(100),
    labels,
    annotations: annotations.superRefine((value, context) => {
      for (const key of Object.keys(value)) {
        if (!key.startsWith('evenkeel.dev/') || ownAnnotations.has(key)) continue;
        const message = `means nothing to Evenkeel; it knows ${[...ownAnnotations].join(', ')}`;
        context.addIssue({ code: 'custom', message, path: [key], input: value[key] });
      }
    }),
  }),
  spec: z.strictObject({
    description,
    service: name,
    indicator: z.strictObject({
      metadata: z.strictObject({ name, displayName: z.string().optional(), labels }),
      spec: z.strictObject({
        description: description.optional(),
        ratioMetric: z.strictObject({
          counter: z.literal(true, 'must be true: only counters can be told apart from their restarts'),
          good: metric,
          total: metric,
        }),
      }),
    }),
    timeWindow: z
      .array(
        z.strictObject({
          // The burn rates that alerts are made for are those of 30 days.
          duration: z.literal('30d', 'must be 30d: windows and factors of the alerts are made for it'),
          isRolling: z.literal(true, 'must be true; what is promised per calendar month is the SLA'),
        }),
      )
      .length(1, 'must be one window'),
    budgetingMethod: z.literal('Occurrences', 'must be Occurrences: events are counted, not slices of time'),
    objectives: z
      .array(z.strictObject({ displayName: z.string().min(1).max(100), target }))
      .length(1, 'must be one objective; another target is another SLO'),
  }),
});

/** The kind of a document, before anything else of it is looked at. */
export const anyKind = z.looseObject({
  apiVersion: z.enum(['openslo/v1', 'evenkeel.dev/v1']),
  kind: z.enum(['Service', 'SLO', 'SLA']),
});
