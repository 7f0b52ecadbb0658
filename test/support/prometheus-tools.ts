import { inject } from 'vitest';
import type { PrometheusPaths } from './prometheus.setup.ts';

/** Prometheus, Alertmanager and their tools. Throws where this machine has none, and says what to install. */
export function prometheusTools(): PrometheusPaths {
  const { paths, problem } = inject('prometheusTools');
  if (paths === null) throw new Error(problem);
  return paths;
}
