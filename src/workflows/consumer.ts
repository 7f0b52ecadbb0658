import { condition, continueAsNew, setCurrentDetails, setHandler, sleep, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '../activities/activities.ts';
import {
  type Move,
  type TroubleMemory,
  type TroubleObservation,
  nextMove,
  nothingTried,
  remember,
} from '../domain/consumer-trouble.ts';
import { LocalLane, localFirst, own } from './activity-options.ts';
import { type TroubleEnd, type TroubleInput, newsSignal, troubleQuery } from './contract.ts';

/** After this many looks a new run goes on, so that a trouble of days has no long history. */
const ROUNDS = 100;

/**
 * The trouble of one consumer, to its end: look, ask the rules what to do, do it, wait for news or for the next look.
 * It decides and does not send. Ends also when another trouble has taken this one's place: the sweeper starts that
 * one's own workflow, again and again until it runs, so that one which finds this workflow in its last task is late
 * by a round and not lost.
 */
export async function consumer(input: TroubleInput): Promise<TroubleEnd> {
  const { consumerId, epoch, policy } = input;
  let memory: TroubleMemory = input.memory ?? nothingTried;
  let seen: TroubleObservation | null = null;
  let nextLookAt: string | null = null;
  let isNews = false;
  setHandler(newsSignal, () => {
    isNews = true;
  });
  setHandler(troubleQuery, () => ({ seen, memory, nextLookAt }));
  const lane = new LocalLane();
  const step = <T>(call: (activities: Activities) => Promise<T>): Promise<T> => localFirst(lane, own, call);

  for (let rounds = 0; rounds < ROUNDS && !workflowInfo().continueAsNewSuggested; rounds += 1) {
    isNews = false;
    seen = await step((a) => a.observeTrouble({ consumerId, epoch }));
    const now = Date.now();
    const move = nextMove(seen, memory, policy, { now, random: Math.random() });
    memory = remember(memory, seen, move, now);
    nextLookAt = 'waitMs' in move ? new Date(now + move.waitMs).toISOString() : null;
    setCurrentDetails(details(seen, memory, move, nextLookAt));
    switch (move.move) {
      case 'leave':
        return 'left';
      case 'give_up':
        await step((a) => a.giveUpConsumer({ consumerId, epoch }));
        return 'given_up';
      case 'end':
        if (await step((a) => a.endTrouble({ consumerId, epoch }))) return 'ended';
        await sleep(move.waitMs);
        break;
      case 'open': {
        const { sendLimit, waitMs } = move;
        await step((a) => a.openConsumer({ consumerId, epoch, sendLimit }));
        await sleep(waitMs);
        break;
      }
      case 'hold':
        await sleep(move.waitMs);
        break;
      case 'probe':
        await step((a) => a.probeConsumer({ consumerId, epoch }));
        await condition(() => isNews, move.waitMs);
        break;
      case 'wait':
        await condition(() => isNews, move.waitMs);
        break;
      default:
        move satisfies never;
    }
  }
  // News that came meanwhile are not lost: the new run begins with a look.
  return continueAsNew<typeof consumer>({ ...input, memory });
}

/** What the Temporal Web UI shows of the trouble at a glance. */
function details(
  { state, mode, failures, relapses, sendLimit, maxInFlight, leftBehind }: TroubleObservation,
  { probes }: TroubleMemory,
  { move }: Move,
  nextLookAt: string | null,
): string {
  return [
    `**${state === 'enabled' ? mode : `${state}, ${mode}`}** · ${leftBehind} deliveries left behind`,
    `${failures} failures since the last success, ${probes} probes, ${relapses} relapses`,
    ...(sendLimit === null ? [] : [`up to ${sendLimit} of ${maxInFlight} deliveries under way at a time`]),
    `${move}${nextLookAt === null ? '' : `; next look at ${nextLookAt}`}`,
  ].join('\n\n');
}
