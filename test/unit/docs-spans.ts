/** The tables of docs/tracing.md, made from what may be recorded. */
import { spanAttributes, spanTypes } from '../../src/telemetry/span-names.ts';

export function spanRows(): string[][] {
  return spanTypes.map(({ name, kind, meaning, attributes }) => [
    `\`${name}\``,
    kind,
    meaning,
    attributes.map((attribute) => `\`${attribute}\``).join(', '),
  ]);
}

export function attributeRows(): string[][] {
  return Object.entries(spanAttributes).map(([name, meaning]) => [`\`${name}\``, meaning]);
}
