import { expect, test, vi } from 'vitest';
import { sweepDelivery } from '../../src/delivery/delivery-sweep.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import type { Log } from '../../src/telemetry/log.ts';

const away = new DomainFailure('workflow_unavailable', 'Temporal is away');

function sweeping(consumers: number, redrives: number) {
  const started: string[] = [];
  const deps = {
    troubles: {
      inTrouble: async () =>
        Array.from({ length: consumers }, (_, index) => ({ consumerId: `c${index}`, epoch: index })),
    },
    redrives: { open: async () => Array.from({ length: redrives }, (_, index) => `r${index}`) },
    workflows: {
      startTrouble: async (consumerId: string, epoch: number) => void started.push(`${consumerId}@${epoch}`),
      startRedrive: async (redriveId: string) => void started.push(redriveId),
    },
    log: { info: vi.fn<Log['info']>(), warn: vi.fn<Log['warn']>(), error: vi.fn<Log['error']>() },
  };
  const stop = new AbortController();
  return { deps, started, stop, sweep: () => sweepDelivery(deps, stop.signal) };
}

test('every consumer in trouble and every open redrive gets its workflow, trouble first', async () => {
  const { started, sweep } = sweeping(2, 2);
  await expect(sweep()).resolves.toEqual({ started: 4 });
  expect(started).toEqual(['c0@0', 'c1@1', 'r0', 'r1']);
});

test('one that cannot be started does not stop the others', async () => {
  const { deps, started, sweep } = sweeping(30, 1);
  const { startTrouble } = deps.workflows;
  deps.workflows.startTrouble = async (consumerId, epoch) => {
    if (epoch === 0) throw new TypeError('a bug');
    await startTrouble(consumerId, epoch);
  };
  await expect(sweep()).resolves.toEqual({ started: 30 });
  expect(started).toContain('r0');
  expect(deps.log.warn).toHaveBeenCalledTimes(1);
});

test('it asks for few while Temporal is away, and leaves the rest for the next round', async () => {
  const { deps, sweep } = sweeping(500, 500);
  const ask = vi.fn<() => Promise<void>>(() => Promise.reject(away));
  Object.assign(deps.workflows, { startTrouble: ask, startRedrive: ask });
  await expect(sweep()).resolves.toEqual({ started: 0 });
  expect(ask.mock.calls.length).toBeLessThanOrEqual(8);
});

test('it starts nothing more once it is told to stop', async () => {
  const { started, stop, sweep } = sweeping(100, 100);
  stop.abort();
  await expect(sweep()).resolves.toEqual({ started: 0 });
  expect(started).toEqual([]);
});

test('the round fails where the store is away, for whoever repeats it', async () => {
  const { deps, sweep } = sweeping(1, 1);
  deps.troubles.inTrouble = () => Promise.reject(new DomainFailure('store_unavailable', 'away'));
  await expect(sweep()).rejects.toMatchObject({ code: 'store_unavailable' });
});
