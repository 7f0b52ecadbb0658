/** Finds Prometheus and Alertmanager for the tests that ask them, or gets them, before the first test of a run. */
import type { TestProject } from 'vitest/node';
import { executable, install, mayInstall, onPath } from './apt.ts';

/** What each is called; Debian's packages have names of their own. */
const names = {
  prometheus: ['prometheus'],
  promtool: ['promtool'],
  alertmanager: ['alertmanager', 'prometheus-alertmanager'],
  amtool: ['amtool'],
} as const;
const PACKAGES = ['prometheus', 'prometheus-alertmanager'] as const;
const ADVICE = `Install Prometheus 2.42 or newer and Alertmanager, with their tools (Debian, Ubuntu: ${PACKAGES.join(', ')}).`;

export type PrometheusPaths = Readonly<Record<keyof typeof names, string>>;
export type PrometheusTools =
  { readonly paths: PrometheusPaths; readonly problem: null } | { readonly paths: null; readonly problem: string };

declare module 'vitest' {
  interface ProvidedContext {
    /** The executables; or why there are none, for the tests that need them and no others. */
    prometheusTools: PrometheusTools;
  }
}

// vitest loads this file once per project; one look is for all of them.
const shared = globalThis as { evenkeelPrometheusTools?: Promise<PrometheusTools> | undefined };

export async function setup(project: TestProject): Promise<void> {
  project.provide('prometheusTools', await (shared.evenkeelPrometheusTools ??= look()));
}

async function look(): Promise<PrometheusTools> {
  const found = await findAll();
  if (found.missing.length === 0) return { paths: found.paths, problem: null };
  if (!(await mayInstall()))
    return { paths: null, problem: `There is no ${found.missing.join(', ')} on PATH. ${ADVICE}` };
  console.log(
    'installing Prometheus and Alertmanager by apt-get, once; the tests that need them start them themselves',
  );
  const problem = await install(PACKAGES);
  if (problem !== undefined)
    return { paths: null, problem: `Prometheus could not be installed: ${problem}\n${ADVICE}` };
  const { paths, missing } = await findAll();
  if (missing.length === 0) return { paths, problem: null };
  return { paths: null, problem: `Prometheus was installed, and ${missing.join(', ')} is not found. ${ADVICE}` };
}

async function findAll(): Promise<{ readonly paths: PrometheusPaths; readonly missing: readonly string[] }> {
  const found = await Promise.all(
    Object.entries(names).map(async ([tool, itsNames]) => [tool, await find(itsNames)] as const),
  );
  return {
    paths: Object.fromEntries(found) as PrometheusPaths,
    missing: found.filter(([, path]) => path === undefined).map(([tool]) => tool),
  };
}

async function find(itsNames: readonly string[]): Promise<string | undefined> {
  for (const path of itsNames.flatMap(onPath)) if ((await executable(path)) !== undefined) return path;
  return undefined;
}
