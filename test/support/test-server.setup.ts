/** The time-skipping Temporal server for workflow tests: found or fetched before the first test, run by each file. */
import type { TestProject } from 'vitest/node';
import { findTestServer } from '../../src/embedded/temporal-test-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** For `TestWorkflowEnvironment.createTimeSkipping({ server: { executable: { type: 'existing-path', path } } })`. */
    testServerPath: string;
  }
}

export async function setup(project: TestProject): Promise<void> {
  const path = await findTestServer({
    env: process.env,
    report: (line) => console.log(line),
    signal: new AbortController().signal,
  });
  project.provide('testServerPath', path);
}
