/**
 * The steps of an order, their idempotency keys, and which decisions a person may take when one is stuck.
 * A key is `<workflowId>:<step>[:<fulfillment>]:<generation>`: never a run id, an attempt or a random number.
 */
export const stepNames = [
  'screen',
  'reserve',
  'authorize',
  'confirm',
  'book',
  'await_dispatch',
  'dispatch',
  'capture',
  'await_delivery',
  'deliver',
  'fail_delivery',
  'release',
  'void',
  'cancel_shipment',
  'refund',
  'withdraw_cancellation',
  'correct',
  'open_attention',
  'close_attention',
  'finish',
  'workflow',
] as const;
export type StepName = (typeof stepNames)[number];

export function workflowIdOf(orderId: string): string {
  return `order-${orderId}`;
}

/** `generation` rises only by a decision, after the former generation was proved to have no effect. */
export function stepKey(orderId: string, step: StepName, generation: number, fulfillmentId?: string): string {
  const middle = fulfillmentId === undefined ? step : `${step}:${fulfillmentId}`;
  return `${workflowIdOf(orderId)}:${middle}:${generation}`;
}

/** The generation that a step's key ends with. */
export function generationOf(key: string): number {
  return Number(key.slice(key.lastIndexOf(':') + 1));
}

/**
 * The key of an undo of the step whose key is `undoes`. Its generation is that step's, followed by `.2`, `.3` … for a
 * new try after a refusal: whoever undoes a thing uses one key for it, and another for every other thing.
 */
export function undoKey(
  orderId: string,
  step: StepName,
  undo: { readonly undoes: string; readonly tries: number },
  fulfillmentId?: string,
): string {
  const key = stepKey(orderId, step, generationOf(undo.undoes), fulfillmentId);
  return undo.tries === 1 ? key : `${key}.${undo.tries}`;
}

/** How the reason of a flag begins whose workflow runs and does not move; any other flag's workflow is lost. */
export const STANDS_STILL = 'workflow_stands_still';

/** In an undo's key: no workflow asked for it. It takes back an effect that landed after its own undo was over. */
export const LATE = 'late';

export const decisionActions = ['retry', 'retry_corrected', 'skip', 'cancel', 'approve', 'reject'] as const;
/**
 * - `retry`: once more; under the same key, unless the provider refused it for good, which proves that it had no effect
 * - `retry_corrected`: with a corrected payment token or shipping address, under a new key
 * - `skip`: the step counts as done; a person has seen to it outside
 * - `cancel`: give the fulfillment (or, before confirmation, the order) up and undo what it took
 * - `approve`, `reject`: the answers to a risk review
 */
export type DecisionAction = (typeof decisionActions)[number];

/** Which decisions each step allows. Nobody can skip an authorization, a reservation or a release of stock. */
const allowed: Readonly<Partial<Record<StepName, readonly DecisionAction[]>>> = {
  screen: ['approve', 'reject'],
  reserve: ['retry', 'cancel'],
  authorize: ['retry', 'retry_corrected', 'cancel'],
  confirm: ['retry', 'cancel'],
  book: ['retry', 'retry_corrected', 'cancel'],
  await_dispatch: ['retry', 'cancel'],
  capture: ['retry', 'skip'],
  await_delivery: ['retry', 'skip', 'cancel'],
  void: ['retry', 'skip'],
  cancel_shipment: ['retry', 'skip'],
  refund: ['retry', 'skip'],
  workflow: ['retry'],
};

/** What a person may decide about a stuck `step`; a step not in the table can only be tried again. */
export function allowedDecisions(step: StepName): readonly DecisionAction[] {
  return allowed[step] ?? ['retry'];
}
