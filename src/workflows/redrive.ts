import { condition, continueAsNew, setCurrentDetails, setHandler, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '../activities/activities.ts';
import {
  type RedriveMemory,
  type RedriveProgress,
  nextRedriveMove,
  nothingSent,
  rememberRedrive,
} from '../domain/redrive.ts';
import { LocalLane, localFirst, own } from './activity-options.ts';
import { type RedriveEnd, type RedriveInput, lookSignal, redriveQuery } from './contract.ts';

/** After this many looks a new run goes on, so that a redrive of hours has no long history. */
const ROUNDS = 100;
/** While all goes well, what became of the letters is counted this seldom: it costs more than sending a few of them. */
const ROUNDS_PER_COUNT = 10;

/**
 * Sends dead letters again: a few first, and only if one of these arrives, all the others at their rate. Completed
 * means that all were sent; what comes of each is the relay's to find out. Where it is, is in PostgreSQL: one that is
 * terminated and started again goes on.
 */
export async function redrive(input: RedriveInput): Promise<RedriveEnd> {
  const { redriveId, policy } = input;
  let memory: RedriveMemory = input.memory ?? nothingSent;
  let seen: RedriveProgress | null = null;
  let isTold = false;
  let isKnown = false;
  setHandler(lookSignal, () => {
    isTold = true;
  });
  setHandler(redriveQuery, () => seen);
  const lane = new LocalLane();
  const step = <T>(call: (activities: Activities) => Promise<T>): Promise<T> => localFirst(lane, own, call);

  for (let rounds = 0; rounds < ROUNDS && !workflowInfo().continueAsNewSuggested; rounds += 1) {
    if (seen === null || isTold || !isKnown || rounds % ROUNDS_PER_COUNT === 0) {
      isTold = false;
      seen = await step((a) => a.lookAtRedrive({ redriveId }));
    }
    if (seen === null) return 'missing';
    setCurrentDetails(details(seen));
    const now = Date.now();
    const move = nextRedriveMove(seen, memory, policy, now);
    let sent = 0;
    isKnown = false;
    switch (move.move) {
      case 'leave':
        return move.end;
      case 'send': {
        const { count } = move;
        sent = await step((a) => a.sendNextOfRedrive({ redriveId, count }));
        // None would have been sent had a person paused or stopped it.
        isKnown = seen.state === 'running' && sent === count;
        break;
      }
      case 'advance': {
        const { state } = move;
        await step((a) => a.advanceRedrive({ redriveId, state }));
        break;
      }
      case 'wait':
        break;
      default:
        move satisfies never;
    }
    memory = rememberRedrive(memory, seen, { move, policy, now, sent });
    if (isKnown) seen = { ...seen, sent: seen.sent + sent };
    // What the step took is part of the wait: it is a rate.
    const leftMs = now + move.waitMs - Date.now();
    if (leftMs > 0) await condition(() => isTold, leftMs);
  }
  return continueAsNew<typeof redrive>({ ...input, memory });
}

/** What the Temporal Web UI shows of the redrive at a glance. */
function details({ state, ratePerSecond, total, sent, delivered, deadAgain }: RedriveProgress): string {
  return [
    `**${state}** · ${sent} of ${total} sent, at ${ratePerSecond} a second`,
    `${delivered} delivered, ${deadAgain} dead again`,
  ].join('\n\n');
}
