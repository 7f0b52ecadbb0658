import type { JudgedSlo, SloCounts, Thresholds } from '../../domain/objectives.ts';
import type { JudgedRound, SloRecords } from '../../domain/slo-ports.ts';
import type { Database } from './database.ts';
import { readByConsumer } from './slo-consumers.ts';
import { addRequestMinutes, readTotals, readWindows } from './slo-counts.ts';
import { eventsPass } from './slo-deliveries.ts';
import { type Counts, createStepper, lagWalk, type Step, walkOf } from './slo-judge.ts';
import { closedAttentionsPass, ordersPass, overdueAttentionsPass } from './slo-orders.ts';

const walks = [...[ordersPass, closedAttentionsPass, overdueAttentionsPass, eventsPass].map(walkOf), lagWalk];

/** Which walks an objective's verdicts come from. */
const walksOf: Readonly<Record<JudgedSlo, readonly string[]>> = {
  'order-processing': [ordersPass.name],
  'human-decision': [closedAttentionsPass.name, overdueAttentionsPass.name],
  'delivery-dispatch': [eventsPass.name],
  'delivery-platform': [eventsPass.name],
  'delivery-end-to-end': [eventsPass.name],
  'consumer-lag': [lagWalk.name],
};

/** So many orders, attentions or deliveries in a step: a fraction of a second, and about one where all were late. */
const MOST = 5_000;

/** `most` is for tests: a step is as large as it may be without it. */
export function postgresSloRecords(db: Database, { most = MOST } = {}): SloRecords {
  const steps = walks.map((walk) => createStepper(db, walk, most));
  return {
    judge: (thresholds) => judge(steps, thresholds),
    addRequests: async (minutes) => {
      if (minutes.length > 0) await db.transaction((trx) => addRequestMinutes(trx, minutes));
    },
    totals: () => db.read((queries) => readTotals(queries, walksOf)),
    windows: (windowsMs) => db.read((queries) => readWindows(queries, windowsMs)),
    byConsumer: (windowMs, thresholdMs) => db.read((queries) => readByConsumer(queries, windowMs, thresholdMs)),
  };
}

type Stepper = (thresholds: Thresholds) => Promise<Step | undefined>;

/** One after the other, so that it takes one connection. Where one fails, the others go on; then it is told. */
async function judge(steppers: readonly Stepper[], thresholds: Thresholds): Promise<JudgedRound | undefined> {
  const steps: Step[] = [];
  const errors: unknown[] = [];
  for (const stepper of steppers) {
    try {
      const step = await stepper(thresholds);
      if (step !== undefined) steps.push(step);
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
  if (steps.length === 0) return undefined;
  return { judged: summed(steps.flatMap(({ counts }) => counts)), more: steps.some(({ more }) => more) };
}

function summed(counts: readonly Counts[]): JudgedRound['judged'] {
  const of = (slo: JudgedSlo): SloCounts => {
    const own = counts.filter((count) => count.slo === slo);
    const sum = (key: keyof SloCounts) => own.reduce((total, count) => total + count[key], 0);
    return { good: sum('good'), bad: sum('bad'), excluded: sum('excluded') };
  };
  return {
    'order-processing': of('order-processing'),
    'human-decision': of('human-decision'),
    'delivery-dispatch': of('delivery-dispatch'),
    'delivery-platform': of('delivery-platform'),
    'delivery-end-to-end': of('delivery-end-to-end'),
    'consumer-lag': of('consumer-lag'),
  };
}
