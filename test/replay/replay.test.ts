import { readFile, readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { DeterminismViolationError } from '@temporalio/workflow';
import { DefaultLogger, Runtime, Worker, bundleWorkflowCode, makeTelemetryFilterString } from '@temporalio/worker';
import { beforeAll, describe, expect, test } from 'vitest';
import { type WorkflowBundle, workflowBundle } from '../../src/workers/bundle.ts';
import { shapes } from './shapes.ts';

const folder = new URL('histories/', import.meta.url);
const recorded = (await readdir(folder)).map((file) => file.replace(/\.json$/, '')).toSorted();

async function replay(bundle: WorkflowBundle, name: string): Promise<void> {
  const history: unknown = JSON.parse(await readFile(new URL(`${name}.json`, folder), 'utf8'));
  await Worker.runReplayHistory({ workflowBundle: bundle }, history);
}

beforeAll(() => {
  Runtime.install({
    logger: new DefaultLogger('ERROR', () => undefined),
    telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'ERROR', other: 'ERROR' }) } },
  });
});

test('there is a recorded history of every shape', () => {
  expect(recorded).toEqual(Object.keys(shapes).toSorted());
});

describe('the recorded history', () => {
  test.each(recorded)('%s replays with the workflow as it is', async (name) => {
    await expect(replay(await workflowBundle(), name)).resolves.toBeUndefined();
  });
});

describe('a changed workflow', () => {
  let changed: WorkflowBundle;
  beforeAll(async () => {
    changed = await bundleWorkflowCode({
      workflowsPath: fileURLToPath(new URL('changed-workflows.ts', import.meta.url)),
      logger: new DefaultLogger('ERROR'),
    });
  });

  test.each(recorded)('fails on %s', async (name) => {
    await expect(replay(changed, name)).rejects.toThrow(DeterminismViolationError);
  });
});
