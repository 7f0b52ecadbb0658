import { sleep } from '@temporalio/workflow';

/** Waits for 30 days of workflow time. */
export async function nap(): Promise<string> {
  await sleep('30 days');
  return 'awake';
}
