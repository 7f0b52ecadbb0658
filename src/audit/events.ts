/** The audit of events: changes ↔ events ↔ intended deliveries ↔ outcomes ↔ receipts, each compared with its neighbour. */
import { intendedFindings } from './intended.ts';
import { outcomeFindings } from './outcomes.ts';
import type { Receipts } from './receipts.ts';
import type { AuditRecords, Finding } from './records.ts';
import { envelopeFindings, transitionFindings } from './transitions.ts';

export interface AuditCounts {
  orders: number;
  events: number;
  consumers: number;
  readonly deliveries: Record<string, number>;
  receipts: number | null;
}

/** Orders that are looked at together: few enough that a million need no more memory than these. */
const BATCH = 200;

/** Compares all there is; each finding is reported as it is found. Resolves with what was looked at. */
export async function auditEvents(
  records: AuditRecords,
  receipts: Receipts | undefined,
  report: (finding: Finding) => void,
): Promise<AuditCounts> {
  const consumers = await records.consumers();
  const byId = new Map(consumers.map((consumer) => [consumer.id, consumer]));
  const counts: AuditCounts = {
    orders: 0,
    events: 0,
    consumers: consumers.length,
    deliveries: {},
    receipts: receipts?.count ?? null,
  };
  let afterId = '';
  for (;;) {
    const orders = await records.orders(afterId, BATCH);
    for (const order of orders) {
      counts.orders += 1;
      counts.events += order.events.length;
      for (const { status } of order.deliveries) counts.deliveries[status] = (counts.deliveries[status] ?? 0) + 1;
      const found = [
        ...transitionFindings(order),
        ...envelopeFindings(order),
        ...intendedFindings(order, consumers),
        ...outcomeFindings(order, byId),
        ...(receipts?.findings(order) ?? []),
      ];
      for (const finding of found) report(finding);
    }
    const last = orders.at(-1);
    if (last === undefined) break;
    afterId = last.id;
  }
  for (const finding of receipts?.rest() ?? []) report(finding);
  return counts;
}
