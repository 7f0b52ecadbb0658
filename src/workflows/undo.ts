import { CancellationScope, sleep } from '@temporalio/workflow';
import type { Activities } from '../activities/activities.ts';
import { LONGEST_ATTEMPT_MS, type UndoOutcome } from '../domain/provider-ports.ts';
import type { StepName } from '../domain/steps.ts';
import { provider } from './activity-options.ts';
import { SKIPPED, perform } from './perform.ts';
import type { Run } from './run.ts';

export interface ProviderUndoStep {
  readonly name: Extract<StepName, 'void' | 'refund' | 'cancel_shipment'>;
  readonly fulfillmentId?: string | undefined;
  /** The key of the step that it takes back. */
  readonly undoes: string;
  readonly call: (activities: Activities, key: string, final: boolean) => Promise<UndoOutcome>;
}

/**
 * Takes back a step at a provider. Where nothing is found of a step that was requested, it looks again once the
 * longest attempt is over: an effect may land later than its undo came. A refusal waits for a person.
 */
export async function undoAtProvider(
  run: Run,
  undo: ProviderUndoStep,
): Promise<UndoOutcome['outcome'] | typeof SKIPPED> {
  const { name, fulfillmentId, undoes } = undo;
  const look = (final: boolean): Promise<UndoOutcome | typeof SKIPPED> =>
    perform(run, {
      name,
      fulfillmentId,
      undoes,
      room: provider,
      call: (a, key) => undo.call(a, key, final),
      refusal: (result) => (result.outcome === 'refused' ? result.reason : undefined),
    });
  return CancellationScope.nonCancellable(async () => {
    let result = await look(false);
    if (result !== SKIPPED && result.outcome === 'look_again') {
      await sleep(LONGEST_ATTEMPT_MS);
      result = await look(true);
    }
    return result === SKIPPED ? SKIPPED : result.outcome;
  });
}
