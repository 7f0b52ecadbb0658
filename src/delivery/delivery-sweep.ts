import type { Redrives } from '../domain/consumer-ports.ts';
import type { ConsumerTroubles, DeliveryWorkflows } from '../domain/delivery-ports.ts';
import type { Log } from '../telemetry/log.ts';
import { each } from './sweeper.ts';

export interface DeliverySweepDeps {
  readonly troubles: Pick<ConsumerTroubles, 'inTrouble'>;
  readonly redrives: Pick<Redrives, 'open'>;
  readonly workflows: Pick<DeliveryWorkflows, 'startTrouble' | 'startRedrive'>;
  readonly log: Log;
}

/**
 * Makes sure that each consumer in trouble, and each redrive that is not at its end, has its workflow: to start one
 * that runs changes nothing. Who found the trouble tried at once; this takes what was left because Temporal, or the
 * process itself, went away in between. One round; stops early while Temporal does not answer.
 */
export async function sweepDelivery(
  deps: DeliverySweepDeps,
  signal: AbortSignal,
): Promise<{ readonly started: number }> {
  const { troubles, redrives, workflows } = deps;
  const inTrouble = await troubles.inTrouble();
  const open = await redrives.open();
  // Trouble first: it is what holds events back.
  const starts = [
    ...inTrouble.map(
      ({ consumerId, epoch }) =>
        () =>
          workflows.startTrouble(consumerId, epoch),
    ),
    ...open.map((redriveId) => () => workflows.startRedrive(redriveId)),
  ];
  return { started: await each(deps, signal, starts, (start) => start()) };
}
