import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { beforeAll, expect, test } from 'vitest';
import { answers, freePort } from '../../src/embedded/ports.ts';
import { processAt } from '../../src/embedded/processes.ts';
import { findTestServer } from '../../src/embedded/temporal-test-server.ts';
import type { nap } from '../support/nap-workflow.ts';
import { descendantsOf } from '../support/processes.ts';
import { waitFor } from '../support/wait.ts';

let path: string;

beforeAll(async () => {
  path = await findTestServer({
    env: process.env,
    report: (line) => console.log(line),
    signal: new AbortController().signal,
  });
});

test('time stands still until a result is awaited, then a month passes at once', async () => {
  const environment = await TestWorkflowEnvironment.createTimeSkipping({
    server: { executable: { type: 'existing-path', path } },
  });
  try {
    const worker = await Worker.create({
      connection: environment.nativeConnection,
      taskQueue: 'naps',
      workflowsPath: join(import.meta.dirname, '../support/nap-workflow.ts'),
    });
    const begin = await environment.currentTimeMs();
    // Started before there is a worker: a server whose time runs free would time it out.
    const handle = await environment.client.workflow.start<typeof nap>('nap', { taskQueue: 'naps', workflowId: 'nap' });
    expect((await environment.currentTimeMs()) - begin).toBeLessThan(60_000);
    expect(await worker.runUntil(handle.result())).toBe('awake');
    expect((await environment.currentTimeMs()) - begin).toBeGreaterThanOrEqual(30 * 86_400_000);
  } finally {
    await environment.teardown();
  }
});

test('the server does not outlive a killed test process', async () => {
  const port = await freePort();
  // A shell in the place of the test process; `wait` keeps it from becoming the server itself.
  const parent = spawn('/bin/sh', ['-c', '"$0" "$1" & wait', path, String(port)], { stdio: 'ignore' });
  await waitFor('the server answers', () => answers(port));
  const pids = descendantsOf(parent.pid ?? 0);
  expect(pids).not.toEqual([]);
  parent.kill('SIGKILL');
  await waitFor('the server is gone', () => pids.every((pid) => processAt(pid) === undefined));
});
