/** `sdk-download-main <dev-server|time-skipping> <version> <folder>`: a process of its own, see sdk-download.ts. */
import { messageOf } from './parts-error.ts';

const [kind, version, downloadDir] = process.argv.slice(2);
try {
  if (version === undefined || downloadDir === undefined) throw new Error('kind, version and folder are missing');
  // A development dependency: absent where only the production ones are installed.
  const { TestWorkflowEnvironment } = await import('@temporalio/testing');
  const executable = { type: 'cached-download', version, downloadDir, ttl: '10 years' } as const;
  // Starting it is the SDK's only way to download, and proves that it runs.
  const environment =
    kind === 'dev-server'
      ? await TestWorkflowEnvironment.createLocal({ server: { executable } })
      : await TestWorkflowEnvironment.createTimeSkipping({ server: { executable } });
  await environment.teardown();
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}
