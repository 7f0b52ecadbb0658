/** Traces as text: what a test prints, and what docs/tracing.md shows. */
import type { ReceivedSpan } from './otlp-receiver.ts';

/** Told beside the name, where a span has them. */
const shown = {
  'http.response.status_code': 'status',
  'evenkeel.activity.attempt': 'attempt',
  'evenkeel.activity.local': 'local',
  'evenkeel.outcome': 'outcome',
  'error.type': 'error',
} as const;

/**
 * A trace, indented: a line for each span, in the order in which they began, with when it began and how long it took.
 * What is below a span that was never sent, because its process was killed, stands below `(lost)`.
 */
export function traceText(spans: readonly ReceivedSpan[]): string {
  const known = new Set(spans.map(({ spanId }) => spanId));
  const above = (span: ReceivedSpan): string =>
    span.parentId === undefined ? 'root' : known.has(span.parentId) ? span.parentId : `lost ${span.parentId}`;
  const below = Map.groupBy(
    spans.toSorted((one, other) => Number(one.startedAt - other.startedAt)),
    above,
  );
  const begun = spans.reduce((first, { startedAt }) => (startedAt < first ? startedAt : first), 1n << 63n);
  const ms = (nanoseconds: bigint): string => (Number(nanoseconds) / 1e6).toFixed(1);
  const lines = (parent: string, depth: number): string[] =>
    (below.get(parent) ?? []).flatMap((span) => {
      const { attributes, endedAt, kind, links, name, startedAt } = span;
      const told = Object.entries(shown).flatMap(([attribute, label]) => {
        const value = attributes[attribute];
        return value === undefined ? [] : [`${label}=${value}`];
      });
      if (links.length > 0) told.push(`linked to ${links.map(({ traceId }) => traceId.slice(0, 8)).join(', ')}`);
      const line = `${'  '.repeat(depth)}${name}  ${kind}  +${ms(startedAt - begun)} ms, ${ms(endedAt - startedAt)} ms`;
      return [[line, ...told].join('  '), ...lines(span.spanId, depth + 1)];
    });
  const lost = [...below.keys()].filter((parent) => parent.startsWith('lost '));
  return [...lines('root', 0), ...lost.flatMap((parent) => ['(lost)', ...lines(parent, 1)])].join('\n');
}
