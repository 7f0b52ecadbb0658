import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/activities.ts';

const activities = proxyActivities<Activities>({ startToCloseTimeout: '2 minutes', retry: { maximumAttempts: 2 } });

/** One round of looking for what got stuck, run by a schedule; the next round makes up for one that fails. */
export async function upkeep(): Promise<Readonly<Record<string, number>>> {
  return activities.upkeep();
}
