import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  TimeoutFailure,
  condition,
  isCancellation,
} from '@temporalio/workflow';
import type { Activities } from '../activities/activities.ts';
import type { Decision } from '../domain/order-ports.ts';
import type { Attention, AttentionEnd } from '../domain/step-ports.ts';
import { type StepName, allowedDecisions, stepKey } from '../domain/steps.ts';
import { type Room, background, own } from './activity-options.ts';
import type { Run } from './run.ts';

/** A person gave the step's subject up, or rejected it: undo what it took. */
export class GivenUp extends Error {
  override readonly name = 'GivenUp';
  readonly action: 'cancel' | 'reject';

  constructor(message: string, action: GivenUp['action'] = 'cancel') {
    super(message);
    this.action = action;
  }
}

/** A step that a person has seen to outside counts as done, without a result. */
export const SKIPPED = 'skipped';

export interface Step<T> {
  readonly name: StepName;
  readonly fulfillmentId?: string | undefined;
  /** Of an undo: the key of the step that it takes back. */
  readonly undoes?: string;
  readonly room: Room;
  readonly call: (activities: Activities, key: string) => Promise<T>;
  /** Why the result is a refusal that somebody must look at; undefined where the story goes on by itself. */
  readonly refusal?: (result: T) => string | undefined;
  /** Makes sure that a generation has no effect, before another one is begun with corrected input. */
  readonly undo?: (key: string) => Promise<void>;
}

/**
 * Runs a step to its end: local first, durable on trouble, then parked until a person decides or, where the provider
 * was only away, until it is back. Throws `GivenUp`, or the cancellation of the scope that it runs in.
 */
export async function perform<T>(run: Run, step: Step<T>): Promise<T | typeof SKIPPED> {
  for (;;) {
    const key = run.key(step.name, step.fulfillmentId, step.undoes);
    const stuck = await attemptOnce(run, step, key);
    if ('result' in stuck) return stuck.result;
    const decided = await park(run, { ...stuck, step: step.name, fulfillmentId: step.fulfillmentId });
    // Done meanwhile, under its key: the next attempt gets that result at once, and judges it.
    if (decided === 'recovered') continue;
    switch (decided.action) {
      case 'skip':
        return SKIPPED;
      case 'retry':
        if (stuck.noEffect) await beginNextGeneration(run, step, decided);
        break;
      case 'retry_corrected':
        await step.undo?.(key);
        await beginNextGeneration(run, step, decided);
        break;
      case 'approve':
        // A person's judgement stands for the one that could not be had.
        return SKIPPED;
      case 'cancel':
      case 'reject':
        throw new GivenUp(`${step.name}: ${stuck.reason}`, decided.action);
      default:
        decided.action satisfies never;
    }
  }
}

interface Stuck {
  readonly reason: string;
  /** The provider refused for good: the same key will get the same answer, and has no effect. */
  readonly noEffect: boolean;
  /** Goes on trying; resolves once the provider is back. */
  readonly recovery?: () => Promise<unknown>;
}

async function attemptOnce<T>(run: Run, step: Step<T>, key: string): Promise<Stuck | { readonly result: T }> {
  try {
    const result = await run.localFirst(step.room, (activities) => step.call(activities, key));
    const refusal = step.refusal?.(result);
    return refusal === undefined ? { result } : { reason: refusal, noEffect: true };
  } catch (error) {
    if (!(error instanceof ActivityFailure) || isCancellation(error)) throw error;
    const { cause } = error;
    const code = cause instanceof ApplicationFailure ? cause.type : undefined;
    const walksAgain = run.input.incarnation > 0 || step.room === own;
    if (code === 'step_undone' && walksAgain && step.undoes === undefined) {
      // The generations that a correction undid are known: this one was given up before the former workflow was lost, or
      // in a workflow task that lasted too long and is done again, local steps and all.
      throw new GivenUp(`${step.name}: undone before`);
    }
    const reason = `${code ?? cause?.name ?? 'failed'}: ${cause?.message ?? error.message}`;
    const forGood = cause instanceof ApplicationFailure && cause.nonRetryable === true;
    if (forGood) return { reason, noEffect: code === 'step_undone' };
    return { reason: away(cause, reason), noEffect: false, recovery: () => step.call(background, key) };
  }
}

function away(cause: Error | undefined, reason: string): string {
  return cause instanceof TimeoutFailure ? 'no answer for a day; still trying' : `${reason}; still trying`;
}

/** What is parked: the attention that a person sees, and how it may end by itself. */
export interface Parked {
  readonly step: StepName;
  readonly fulfillmentId?: string | undefined;
  readonly reason: string;
  readonly recovery?: (() => Promise<unknown>) | undefined;
}

/** Shows the step as waiting for a person and waits: for a decision, a recovery, or the scope's cancellation. */
export async function park(run: Run, parked: Parked): Promise<Decision | 'recovered'> {
  const { step, fulfillmentId, reason, recovery } = parked;
  const attentionId = run.newAttentionId();
  const attention: Attention = { attentionId, step, fulfillmentId, reason, allowed: allowedDecisions(step) };
  const { orderId } = run;
  // First here, then in the store: whoever sees it there may decide on it at once.
  run.showAttention(attention);
  await CancellationScope.nonCancellable(() =>
    run.localFirst(own, (a) =>
      a.openAttention({ orderId, key: stepKey(orderId, 'open_attention', 1, attentionId), ...attention }),
    ),
  );
  let how: AttentionEnd = { by: 'cancellation' };
  try {
    const end = await decisionOrRecovery(run, attentionId, recovery);
    if (end === 'recovered') how = { by: 'recovery' };
    else how = { by: 'decision', decisionId: end.decisionId, action: end.action };
    return end;
  } finally {
    run.hideAttention(attentionId);
    await CancellationScope.nonCancellable(() =>
      run.localFirst(own, (a) =>
        a.closeAttention({ orderId, key: stepKey(orderId, 'close_attention', 1, attentionId), attentionId, how }),
      ),
    );
  }
}

async function decisionOrRecovery(
  run: Run,
  attentionId: string,
  recovery: (() => Promise<unknown>) | undefined,
): Promise<Decision | 'recovered'> {
  const scope = new CancellationScope();
  return scope.run(async () => {
    let recovered = false;
    recovery?.().then(
      () => (recovered = true),
      // Failed for good while nobody looked, or no longer wanted: the attention stays, and a retry shows the reason.
      () => undefined,
    );
    await condition(() => recovered || run.decisionOn(attentionId) !== undefined);
    if (!recovered) scope.cancel();
    return run.decisionOn(attentionId) ?? 'recovered';
  });
}

/**
 * Turns to the step's next generation, with the correction that the decision carries; the former one is proved to have
 * no effect. Recorded, since a replacement of this workflow must not begin with a former one.
 */
async function beginNextGeneration<T>(run: Run, step: Step<T>, { decisionId }: Decision): Promise<void> {
  const { orderId } = run;
  const next = run.nextGeneration(step.name, step.fulfillmentId, step.undoes);
  await perform(run, {
    name: 'correct',
    fulfillmentId: step.fulfillmentId,
    room: own,
    call: (a) => a.correct({ orderId, key: stepKey(orderId, 'correct', 1, decisionId), decisionId, ...next }),
  });
}
