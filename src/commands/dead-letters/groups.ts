import type { z } from 'zod';
import type { deadLetterGroup } from '../../api/delivery-schemas.ts';
import type { DeadLetterGrouping } from '../../domain/consumer-ports.ts';
import { age, printable, table } from '../format.ts';

export type Group = z.output<typeof deadLetterGroup>;

/** The most frequent first; `names` are those of the consumers that are there still. */
export function groupsText(
  by: DeadLetterGrouping,
  groups: readonly Group[],
  names: ReadonlyMap<string, string>,
  nowMs: number,
): string {
  const isConsumer = by === 'consumer';
  const head = [...(isConsumer ? ['NAME'] : []), by.toUpperCase(), 'COUNT', 'OLDEST', 'NEWEST', 'EXAMPLE'];
  const rows = groups
    .toSorted((one, other) => other.count - one.count)
    .map(({ key, count, oldest, newest, example }) => [
      ...(isConsumer ? [printable(names.get(key) ?? 'deleted').slice(0, 24)] : []),
      printable(key),
      String(count),
      `${age(oldest, nowMs)} ago`,
      `${age(newest, nowMs)} ago`,
      printable(example ?? ''),
    ]);
  return table([head, ...rows], [isConsumer ? 2 : 1]);
}
