import type { Selectable } from 'kysely';
import type { AttemptView } from '../../domain/consumer-ports.ts';
import type { Queries } from './database.ts';
import type { Tables } from './schema.ts';

/** All attempts at these deliveries, oldest first. */
export async function readLogs(
  queries: Queries,
  deliveryIds: readonly number[],
): Promise<(deliveryId: number) => readonly AttemptView[]> {
  const rows =
    deliveryIds.length === 0
      ? []
      : await queries
          .selectFrom('attempts')
          .selectAll()
          .where('delivery_id', 'in', deliveryIds)
          .orderBy('id')
          .execute();
  const logs = Map.groupBy(rows, (row) => row.delivery_id);
  return (deliveryId) => (logs.get(deliveryId) ?? []).map(viewOf);
}

function viewOf(row: Selectable<Tables['attempts']>): AttemptView {
  const { answer, cause, duration_ms: durationMs, error, late, outcome, relay, started_at: startedAt, status } = row;
  return { startedAt: startedAt.toISOString(), durationMs, outcome, cause, status, answer, error, relay, late };
}
