import { sql } from 'kysely';
import { DomainFailure } from '../../domain/failures.ts';
import { MOST_COUNTED, type RiskFacts, type RiskService } from '../../domain/provider-ports.ts';
import type { Screening, ScreeningResult, StepRef } from '../../domain/step-ports.ts';
import { judge, SCREENING_UNAVAILABLE, type ScreeningRules, stricter } from '../../domain/screening.ts';
import { changeOrder, type LockedOrder } from './change.ts';
import type { Database } from './database.ts';
import { ownStep } from './step.ts';

/** Within the 2 s of a local activity there is to be time for the store as well. */
const RISK_ANSWERS_WITHIN_MS = 1_000;

export interface RiskScreening {
  readonly service: RiskService;
  /** Told of each order that waits for a review because the service could not be asked. Must not throw. */
  readonly fellBack?: () => void;
}

/**
 * Screens by our own rules and, where there is one, by a risk service: the stricter verdict counts. An order whose
 * assessment is not to be had, for whatever reason, waits for a person. Throws `bulkhead_full` where as many ask as may.
 */
export function postgresScreening(db: Database, rules: ScreeningRules, risk?: RiskScreening): Screening {
  return {
    async screen(step) {
      // Not within the transaction: whoever waits for a provider holds no order.
      const assessment = risk && (await assess(db, risk.service, step));
      let fellBack = false;
      const settled = await ownStep(db, step, async (order) => {
        const ours = judge(rules, {
          totalMinor: order.row.total_minor,
          ordersWithinHour: await ordersWithinHour(order, rules.reviewOrdersPerHour + 1),
        });
        const result = assessment === undefined ? ours : stricter(ours, assessment);
        fellBack = result.verdict === 'review' && result.reason === SCREENING_UNAVAILABLE;
        if (result.verdict === 'review') {
          await changeOrder(order, {
            status: 'in_review',
            events: [{ type: 'evenkeel.order.review_started.v1', data: { reason: result.reason } }],
          });
        }
        return result;
      });
      if (fellBack) risk?.fellBack?.();
      return settled;
    },
  };
}

/** Undefined where the step has its verdict already, or there is nothing to judge: `ownStep` says so. */
async function assess(db: Database, service: RiskService, step: StepRef): Promise<ScreeningResult | undefined> {
  const facts = await riskFacts(db, step);
  if (facts === undefined) return undefined;
  try {
    return await service.assess(step.key, facts, {
      signal: AbortSignal.timeout(RISK_ANSWERS_WITHIN_MS),
      deadline: performance.now() + RISK_ANSWERS_WITHIN_MS,
    });
  } catch (error) {
    // A crowd of our own, over in a moment: no reason to have a person look at the order that came last.
    if (error instanceof DomainFailure && error.code === 'bulkhead_full') throw error;
    if (error instanceof DomainFailure) return { verdict: 'review', reason: SCREENING_UNAVAILABLE };
    throw error;
  }
}

function riskFacts(db: Database, step: StepRef): Promise<RiskFacts | undefined> {
  return db.read(async (queries) => {
    const { rows } = await sql<RiskFacts>`
      select o.id as "orderId", o.total_minor as "amountMinor", o.currency, (
        select count(*) from (
          select 1 from orders
          where customer_id = o.customer_id and (created_at, id) <= (o.created_at, o.id) limit ${MOST_COUNTED}
        ) so_far
      ) as "customerOrders"
      from orders o
      where o.id = ${step.orderId} and not exists (select from steps where key = ${step.key})`.execute(queries);
    return rows[0];
  });
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
