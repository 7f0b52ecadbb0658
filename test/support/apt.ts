/** Debian's package manager, for programs that tests start and machines may lack. */
import { access, constants, realpath, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { messageOf } from '../../src/embedded/parts-error.ts';
import { run } from '../../src/embedded/run.ts';
import { isRoot } from '../../src/embedded/unprivileged.ts';

// vitest loads this file once per project; one installation at a time is for all of them.
const shared = globalThis as { evenkeelApt?: Promise<unknown> | undefined };

/** Every `name` on PATH, in its order. */
export function onPath(name: string): readonly string[] {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name));
}

/** The file behind `path`, if it can be run. */
export async function executable(path: string): Promise<string | undefined> {
  try {
    await access(path, constants.X_OK);
    return await realpath(path);
  } catch {
    return undefined;
  }
}

/** Whether packages can be installed: by root, where there is apt-get. */
export async function mayInstall(): Promise<boolean> {
  return isRoot() && (await run('which', ['apt-get']).catch(() => undefined))?.code === 0;
}

/** Installs packages, without starting what they serve. Resolves with what went wrong, or undefined. */
export async function install(packages: readonly string[]): Promise<string | undefined> {
  const turn = (shared.evenkeelApt ?? Promise.resolve()).then(() => attempt(packages));
  shared.evenkeelApt = turn;
  return turn;
}

async function attempt(packages: readonly string[]): Promise<string | undefined> {
  const args = ['install', '-y', '--no-install-recommends', ...packages];
  try {
    return await withoutServices(async () => {
      if ((await aptGet(args)).code === 0) return undefined;
      // The list of packages is missing or old.
      await aptGet(['update']);
      const { code, output } = await aptGet(args);
      return code === 0 ? undefined : output.split('\n').slice(-5).join('\n');
    });
  } catch (error) {
    return messageOf(error);
  }
}

function aptGet(args: readonly string[]) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return run('apt-get', ['-q', ...args], { env, signal: AbortSignal.timeout(10 * 60_000) });
}

/** Debian starts a service when it is installed, unless this file says that it may not (policy-rc.d, invoke-rc.d(8)). */
async function withoutServices<T>(work: () => Promise<T>): Promise<T> {
  const policy = '/usr/sbin/policy-rc.d';
  const isOurs = (await executable(policy)) === undefined;
  if (isOurs) await writeFile(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    return await work();
  } finally {
    if (isOurs) await rm(policy, { force: true });
  }
}
