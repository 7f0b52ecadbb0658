import { defineConfig } from 'vitest/config';

const project = (name: string, options: Record<string, unknown> = {}) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    // Conditions that hold soon are seen at once; the second that is the default is too little for a busy machine.
    expect: { poll: { timeout: 15_000 } },
    ...options,
  },
});

const servers = ['test/support/servers.setup.ts', 'test/support/broker.setup.ts', 'test/support/prometheus.setup.ts'];

export default defineConfig({
  test: {
    projects: [
      project('unit', { testTimeout: 20_000 }),
      // One time-skipping server per file; time skips only while a result is awaited.
      project('workflow', {
        testTimeout: 60_000,
        hookTimeout: 600_000,
        globalSetup: 'test/support/test-server.setup.ts',
      }),
      project('replay', { testTimeout: 60_000, hookTimeout: 120_000 }),
      project('integration', { testTimeout: 60_000, hookTimeout: 600_000, globalSetup: servers }),
      // Whole stacks on two cores: one file at a time.
      project('e2e', {
        testTimeout: 240_000,
        hookTimeout: 600_000,
        fileParallelism: false,
        globalSetup: servers,
      }),
    ],
  },
});
