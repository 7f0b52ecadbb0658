import { afterEach, describe, expect, test } from 'vitest';
import { newsSignal, troubleQuery } from '../../src/workflows/contract.ts';
import { beginTrouble, tellOfProbes, troublePolicy } from '../support/delivery-stories.ts';
import { MemoryConsumer } from '../support/memory-consumer.ts';
import { useShop } from '../support/shop.ts';
import { DAY_MS } from '../support/workflow.ts';

const shop = useShop();
const gapsOf = (calls: readonly { readonly at: number }[]): number[] =>
  calls.slice(1).map(({ at }, index) => at - (calls[index]?.at ?? 0));

afterEach(() => {
  shop().delivery.afterProbe = async () => undefined;
});

describe('a consumer that does not answer', () => {
  test('is probed at growing intervals, and given up after its time', async () => {
    const policy = { ...troublePolicy, giveUpMs: 10 * 60_000 };
    const story = await beginTrouble(shop(), new MemoryConsumer(), {
      policy,
    });
    expect((await story.end()).status).toBe('given_up');
    expect(story.it.state).toBe('disabled');
    const gaps = gapsOf(story.calls('probe'));
    for (const [index, gap] of gaps.entries()) {
      expect(gap).toBeGreaterThanOrEqual(0.75 * Math.min(60_000, 1_000 * 2 ** index));
    }
    expect(gaps.length).toBeGreaterThan(10);
    const [gaveUp] = story.calls('giveUp');
    expect((gaveUp?.at ?? 0) - (story.calls('observe')[0]?.at ?? 0)).toBeGreaterThanOrEqual(policy.giveUpMs);
  });

  test('is neither probed nor given up where there is nothing that it could get', async () => {
    const story = await beginTrouble(shop(), new MemoryConsumer({ backlog: 0 }));
    expect((await story.end()).status).toBe('ended');
    expect(story.calls('probe')).toEqual([]);
    expect(story.it).toMatchObject({ state: 'enabled', health: { mode: 'normal', failures: 3 } });
  });

  test('is probed no sooner for the news that each failed probe makes', async () => {
    tellOfProbes(shop());
    const policy = { ...troublePolicy, giveUpMs: 5 * 60_000 };
    const story = await beginTrouble(shop(), new MemoryConsumer(), {
      policy,
    });
    expect((await story.end()).status).toBe('given_up');
    expect(story.calls('observe').length).toBeGreaterThan(story.calls('probe').length * 1.5);
    for (const [index, gap] of gapsOf(story.calls('probe')).entries()) {
      expect(gap).toBeGreaterThanOrEqual(Math.min(45_000, 750 * 2 ** index));
    }
  });
});

describe('a consumer that is back', () => {
  test('is noticed by the news of its probe, is sent more and more, and its trouble ends', async () => {
    tellOfProbes(shop());
    const story = await beginTrouble(shop(), new MemoryConsumer({ backlog: 30, isUp: true }));
    expect((await story.end()).status).toBe('ended');
    expect([story.it.health.mode, story.it.backlog]).toEqual(['normal', 0]);
    expect(story.calls('probe')).toHaveLength(1);
    expect(story.calls('open')).toHaveLength(4);
    expect(story.calls('observe').every(({ local }) => local)).toBe(true);
  });

  test('goes on being watched where a failure comes in the moment of its end', async () => {
    const consumer = new MemoryConsumer({ backlog: 3, isUp: true });
    let ends = 0;
    consumer.beforeEnd = () => {
      ends += 1;
      if (ends > 1) return;
      consumer.backlog = 1;
      consumer.hear({ says: 'fails', orderId: 'o9', blames: 'answer', reason: 'http_500' });
    };
    const story = await beginTrouble(shop(), consumer);
    expect((await story.end()).status).toBe('ended');
    expect([consumer.health.mode, consumer.backlog]).toEqual(['normal', 0]);
    expect(gapsOf(story.calls('end'))[0]).toBeGreaterThanOrEqual(troublePolicy.recoveryTickMs);
  });

  test('is probed again after a relapse, and comes to its end all the same', async () => {
    const consumer = new MemoryConsumer({ backlog: 40, isUp: true });
    const story = await beginTrouble(shop(), consumer);
    await story.called('open');
    consumer.isUp = false;
    await story.pass(30_000);
    expect(consumer.health).toMatchObject({ mode: 'probing', relapses: 1 });
    expect((await story.handle.query(troubleQuery)).seen).toMatchObject({ mode: 'probing', relapses: 1 });
    consumer.isUp = true;
    expect((await story.end()).status).toBe('ended');
    expect(consumer.backlog).toBe(0);
  });
});

describe('the database away', () => {
  test.each(['observe', 'probe', 'open', 'end'] as const)('in %s, is waited for', async (method) => {
    shop().delivery.away(method, 3);
    const story = await beginTrouble(shop(), new MemoryConsumer({ isUp: true }));
    expect((await story.end()).status).toBe('ended');
    expect(story.it.backlog).toBe(0);
    expect(
      story
        .calls(method)
        .slice(0, 4)
        .map(({ local }) => local),
    ).toEqual([true, false, false, false]);
  });
});

describe('a person', () => {
  test('who pauses it has it left alone, and who resumes it has it probed at once', async () => {
    const consumer = new MemoryConsumer();
    const story = await beginTrouble(shop(), consumer);
    await story.pass(10 * 60_000);
    consumer.change('paused', await story.now());
    await story.handle.signal(newsSignal);
    const looks = story.calls('observe').length;
    await story.called('observe', looks + 1);
    const probes = story.calls('probe').length;
    await story.pass(DAY_MS / 2);
    expect(story.calls('probe')).toHaveLength(probes);

    const resumedAt = await story.now();
    consumer.change('enabled', resumedAt);
    consumer.isUp = true;
    await story.handle.signal(newsSignal);
    expect((await story.end()).status).toBe('ended');
    expect((story.calls('probe')[probes]?.at ?? 0) - resumedAt).toBeLessThan(troublePolicy.firstProbeMs);
  });

  test('who terminates the workflow has another one go on with the trouble', async () => {
    const consumer = new MemoryConsumer();
    const lost = await beginTrouble(shop(), consumer);
    await lost.called('probe');
    await lost.handle.terminate('lost');
    consumer.isUp = true;
    const story = await beginTrouble(shop(), consumer, { id: lost.id });
    expect((await story.end()).status).toBe('ended');
  });
});

describe('a trouble that is another one by now', () => {
  test('is left to the other one, and nothing is done about that', async () => {
    const consumer = new MemoryConsumer();
    const story = await beginTrouble(shop(), consumer);
    await story.called('probe');
    consumer.nextTrouble();
    const { attempts } = consumer;
    expect((await story.end()).status).toBe('left');
    expect(consumer.attempts).toBe(attempts);

    consumer.isUp = true;
    const next = await beginTrouble(shop(), consumer, { id: story.id });
    expect((await next.end()).status).toBe('ended');
  });

  test('is left where it was over before anybody looked', async () => {
    const consumer = new MemoryConsumer();
    consumer.health = { ...consumer.health, mode: 'normal' };
    const story = await beginTrouble(shop(), consumer);
    expect((await story.end()).status).toBe('left');
    expect(story.calls('observe')).toHaveLength(1);
  });
});

test('a trouble of days goes on in a new run, which probes no sooner and remembers what was tried', async () => {
  const consumer = new MemoryConsumer();
  const story = await beginTrouble(shop(), consumer);
  const first = (await story.handle.describe()).runId;
  await story.pass(DAY_MS / 12);
  const latest = shop().env.client.workflow.getHandle(story.handle.workflowId);
  expect((await latest.describe()).runId).not.toBe(first);
  // More than any one run makes.
  expect((await latest.query(troubleQuery)).memory.probes).toBeGreaterThan(100);
  for (const gap of gapsOf(story.calls('probe')).slice(7)) expect(gap).toBeGreaterThanOrEqual(45_000);
  consumer.isUp = true;
  expect((await story.end()).status).toBe('ended');
});
