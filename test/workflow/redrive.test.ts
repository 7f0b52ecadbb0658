import { describe, expect, test } from 'vitest';
import { lookSignal, redriveQuery } from '../../src/workflows/contract.ts';
import { beginRedrive, redrivePolicy } from '../support/delivery-stories.ts';
import { MemoryRedrive } from '../support/memory-redrive.ts';
import { useShop } from '../support/shop.ts';
import { DAY_MS } from '../support/workflow.ts';

const shop = useShop();

/** What was sent in any `ms`, at most. */
function mostWithin(ms: number, { batches }: MemoryRedrive): number {
  return Math.max(
    ...batches.map(({ at }) =>
      batches.filter((batch) => batch.at >= at && batch.at < at + ms).reduce((sum, { sent }) => sum + sent, 0),
    ),
  );
}

describe('the canaries of a redrive', () => {
  test('die again, and the others are left alone', async () => {
    const redrive = new MemoryRedrive({ total: 100 });
    redrive.fate = 'dead';
    const story = await beginRedrive(shop(), redrive);
    expect((await story.end()).status).toBe('failed');
    expect(redrive).toMatchObject({ state: 'failed', sent: 3 });
  });

  test('do not arrive in their time, and the others are left alone', async () => {
    const redrive = new MemoryRedrive({ total: 100 });
    redrive.fate = 'waits';
    const story = await beginRedrive(shop(), redrive);
    const begun = await story.now();
    expect((await story.end()).status).toBe('failed');
    expect(redrive.sent).toBe(3);
    expect((story.calls('advance')[0]?.at ?? 0) - begun).toBeGreaterThanOrEqual(redrivePolicy.canaryWaitMs);
    // Growing waits: one every 30 seconds at last.
    expect(story.calls('find').length).toBeLessThan(45);
  });

  test('arrive at last, and the others follow', async () => {
    const redrive = new MemoryRedrive({ total: 8, ratePerSecond: 5 });
    redrive.fate = 'waits';
    const story = await beginRedrive(shop(), redrive);
    await story.pass(10 * 60_000);
    expect(await story.handle.query(redriveQuery)).toMatchObject({ state: 'canary', sent: 3 });
    redrive.delivered = 1;
    expect((await story.end()).status).toBe('completed');
    expect(redrive.sent).toBe(8);
  });

  test('are all there is', async () => {
    const redrive = new MemoryRedrive({ total: 2 });
    const story = await beginRedrive(shop(), redrive);
    expect((await story.end()).status).toBe('completed');
    expect(redrive.batches.map(({ sent }) => sent)).toEqual([2]);
  });
});

describe('the letters of a redrive', () => {
  test.each([
    [20, 103],
    [2, 13],
    [0.1, 6],
  ])('are sent at %d a second and no faster', async (ratePerSecond, total) => {
    const redrive = new MemoryRedrive({ total, ratePerSecond });
    const story = await beginRedrive(shop(), redrive);
    expect((await story.end()).status).toBe('completed');
    expect(redrive.sent).toBe(total);
    const [, ...others] = redrive.batches;
    const afterCanaries = Object.assign(new MemoryRedrive(), { batches: others });
    expect(mostWithin(10_000, afterCanaries)).toBeLessThanOrEqual(Math.max(1, ratePerSecond * 10));
    const took = (others.at(-1)?.at ?? 0) - (others[0]?.at ?? 0);
    expect(took).toBeGreaterThanOrEqual(((total - 3) / ratePerSecond) * 1_000 - Math.max(1_000, 1_000 / ratePerSecond));
  });

  test('are held while a person pauses it, and go on when told', async () => {
    const redrive = new MemoryRedrive({ total: 100, ratePerSecond: 1 });
    const story = await beginRedrive(shop(), redrive);
    await story.pass(20_000);
    redrive.state = 'paused';
    await story.handle.signal(lookSignal);
    const { sent } = redrive;
    await story.pass(DAY_MS / 4);
    expect(redrive.sent).toBe(sent);
    redrive.state = 'running';
    await story.handle.signal(lookSignal);
    expect((await story.end()).status).toBe('completed');
    expect(redrive.sent).toBe(100);
  });

  test('are left alone once a person stops it', async () => {
    const redrive = new MemoryRedrive({ total: 100, ratePerSecond: 1 });
    const story = await beginRedrive(shop(), redrive);
    await story.pass(20_000);
    redrive.state = 'stopped';
    const { sent } = redrive;
    expect((await story.end()).status).toBe('stopped');
    expect(redrive.sent).toBe(sent);
  });

  test('are not sent sooner for being told again and again to look', async () => {
    const redrive = new MemoryRedrive({ total: 10, ratePerSecond: 0.1 });
    const story = await beginRedrive(shop(), redrive);
    await story.called('sendNext', 1);
    await story.pass(5_000);
    const { sent } = redrive;
    for (let told = 1; told <= 5; told += 1) {
      const looks = story.calls('find').length;
      await story.handle.signal(lookSignal);
      await story.called('find', looks + 1);
    }
    expect(redrive.sent).toBe(sent);
    expect((await story.end()).status).toBe('completed');
  });

  test('may be fewer than were taken in, where people saw to some of them meanwhile', async () => {
    const redrive = new MemoryRedrive({ total: 10 });
    redrive.gone = 4;
    const story = await beginRedrive(shop(), redrive);
    expect((await story.end()).status).toBe('completed');
    expect(redrive.sent).toBe(6);
  });
});

describe('a redrive', () => {
  test.each(['find', 'sendNext', 'advance'] as const)('waits for a database away in %s', async (method) => {
    const redrive = new MemoryRedrive({ total: 10, ratePerSecond: 5 });
    shop().delivery.away(method, 3);
    const story = await beginRedrive(shop(), redrive);
    expect((await story.end()).status).toBe('completed');
    expect(redrive.sent).toBe(10);
  });

  test('that is terminated goes on in another workflow', async () => {
    const redrive = new MemoryRedrive({ total: 50, ratePerSecond: 1 });
    const lost = await beginRedrive(shop(), redrive);
    await lost.pass(20_000);
    await lost.handle.terminate('lost');
    const story = await beginRedrive(shop(), redrive, { id: lost.id });
    expect((await story.end()).status).toBe('completed');
    expect(redrive.sent).toBe(50);
  });

  test('of many letters goes on in new runs, at the same rate', async () => {
    const redrive = new MemoryRedrive({ total: 153, ratePerSecond: 1 });
    const story = await beginRedrive(shop(), redrive);
    const { runId } = await story.handle.describe();
    expect((await story.end()).status).toBe('completed');
    const latest = await shop().env.client.workflow.getHandle(story.handle.workflowId).describe();
    expect(latest.runId).not.toBe(runId);
    expect(redrive.sent).toBe(153);
    expect(mostWithin(60_000, redrive)).toBeLessThanOrEqual(63);
    // Counting is left out while each batch is a whole one.
    expect(story.calls('find').length).toBeLessThan(30);
  });

  test('that is none ends at once', async () => {
    const story = await beginRedrive(shop(), new MemoryRedrive());
    shop().delivery.redrives.delete(story.id);
    expect((await story.end()).status).toBe('missing');
  });
});
