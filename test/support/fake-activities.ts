import { Context } from '@temporalio/activity';
import type { Activities } from '../../src/activities/activities.ts';
import type { MemoryDelivery } from './memory-delivery.ts';
import { World } from './world.ts';

/**
 * The real activities over one pretend world for each order; every call is recorded in the world of its workflow.
 * `worldOf` finds it by the workflow's id. Those of consumers and redrives are the real ones over `delivery`.
 */
export function fakeActivities(worldOf: (workflowId: string) => World, delivery: MemoryDelivery): Activities {
  const names = Object.keys(new World('none').activities) as (keyof Activities)[];
  const record = (name: keyof Activities) => async (input?: { readonly key: string }) => {
    const { workflowExecution, attempt, isLocal } = Context.current().info;
    const world = worldOf(workflowExecution?.workflowId ?? '');
    world.record({ activity: name, key: input?.key ?? '', attempt, local: isLocal });
    const activity = world.activities[name] as (input?: unknown) => Promise<unknown>;
    return isLocal ? world.local(() => activity(input)) : activity(input);
  };
  const ofOrders = Object.fromEntries(names.map((name) => [name, record(name)])) as unknown as Activities;
  return { ...ofOrders, ...delivery.activities() };
}
