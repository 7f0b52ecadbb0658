import { sql } from 'kysely';
import type { Screening } from '../../domain/step-ports.ts';
import { judge, type ScreeningRules } from '../../domain/screening.ts';
import { changeOrder, type LockedOrder } from './change.ts';
import type { Database } from './database.ts';
import { ownStep } from './step.ts';

export function postgresScreening(db: Database, rules: ScreeningRules): Screening {
  return {
    screen: (step) =>
      ownStep(db, step, async (order) => {
        const result = judge(rules, {
          totalMinor: order.row.total_minor,
          ordersWithinHour: await ordersWithinHour(order, rules.reviewOrdersPerHour + 1),
        });
        if (result.verdict === 'review') {
          await changeOrder(order, {
            status: 'in_review',
            events: [{ type: 'evenkeel.order.review_started.v1', data: { reason: result.reason } }],
          });
        }
        return result;
      }),
  };
}

/** Counts no further than `limit`, so that the busiest customer costs no more than the rule needs. */
async function ordersWithinHour({ trx, row }: LockedOrder, limit: number): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*) from (
      select 1 from orders
      where customer_id = ${row.customer_id} and created_at > ${row.created_at}::timestamptz - interval '1 hour'
        and created_at <= ${row.created_at} limit ${limit}
    ) recent`.execute(trx);
  return rows[0]?.count ?? 0;
}
