import { expect, onTestFinished, test } from 'vitest';
import { lazyConnection } from '../../src/adapters/temporal/lazy-connection.ts';
import { closedPort } from '../support/webhook-receiver.ts';
import { waitFor } from '../support/wait.ts';

test('closed while calls wait for their retries, a connection ends them and leaves none behind', async () => {
  const uncaught: unknown[] = [];
  const note = (error: unknown): void => void uncaught.push(error);
  process.on('uncaughtExceptionMonitor', note);
  onTestFinished(() => void process.off('uncaughtExceptionMonitor', note));
  const { connection, close } = lazyConnection({ address: `127.0.0.1:${await closedPort()}` });
  let failed = 0;
  const calls = Array.from({ length: 5 }, () =>
    connection.workflowService.getSystemInfo({}).catch((error: unknown) => {
      failed += 1;
      return error;
    }),
  );
  // One that came after them has failed and was tried again: they wait for their next try.
  const last = connection.withDeadline(Date.now() + 50, () => connection.workflowService.getSystemInfo({}));
  await expect(last).rejects.toThrow(/DEADLINE_EXCEEDED/);
  expect(failed).toBe(0);
  await close();
  await waitFor('the end of all calls', () => failed === calls.length);
  for (const error of await Promise.all(calls)) expect(error).toMatchObject({ details: expect.stringMatching(/./) });
  expect(uncaught).toEqual([]);
});
