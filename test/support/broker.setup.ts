/** Finds a RabbitMQ for the tests that start one, or gets it, before the first test of a run. */
import { access, constants, realpath, rm, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { messageOf } from '../../src/embedded/parts-error.ts';
import { run } from '../../src/embedded/run.ts';
import { isRoot } from '../../src/embedded/unprivileged.ts';

export type RabbitmqServer =
  { readonly path: string; readonly problem: null } | { readonly path: null; readonly problem: string };

declare module 'vitest' {
  interface ProvidedContext {
    /** The executable; or why there is none, for the tests that need it and no others. */
    rabbitmqServer: RabbitmqServer;
  }
}

/** Where Debian's package has the executable itself; the one on PATH is a wrapper that wants root or its own user. */
const DEBIAN_PATH = '/usr/lib/rabbitmq/bin/rabbitmq-server';
const WRAPPER = 'rabbitmq-script-wrapper';

// vitest loads this file once per project; one look is for all of them.
const shared = globalThis as { evenkeelRabbitmqServer?: Promise<RabbitmqServer> | undefined };

export async function setup(project: TestProject): Promise<void> {
  project.provide('rabbitmqServer', await (shared.evenkeelRabbitmqServer ??= look()));
}

async function look(): Promise<RabbitmqServer> {
  const found = (await find()) ?? (await install());
  return typeof found === 'string' ? { path: found, problem: null } : found;
}

async function find(): Promise<string | undefined> {
  const given = process.env['RABBITMQ_SERVER_PATH'];
  if (given !== undefined && given !== '') return given;
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  for (const path of [...folders.map((folder) => join(folder, 'rabbitmq-server')), DEBIAN_PATH]) {
    const real = await executable(path);
    if (real?.endsWith(WRAPPER) === true) return join(dirname(real), 'rabbitmq-server');
    if (real !== undefined) return path;
  }
  return undefined;
}

/** The file behind `path`, if it can be run. */
async function executable(path: string): Promise<string | undefined> {
  try {
    await access(path, constants.X_OK);
    return await realpath(path);
  } catch {
    return undefined;
  }
}

/** By Debian's package manager, where we may use it. */
async function install(): Promise<string | RabbitmqServer> {
  const advice = 'Install RabbitMQ 3.10 or newer (Debian, Ubuntu: rabbitmq-server), or set RABBITMQ_SERVER_PATH.';
  if (!isRoot() || (await run('which', ['apt-get']).catch(() => undefined))?.code !== 0) {
    return { path: null, problem: `There is no rabbitmq-server on PATH. ${advice}` };
  }
  console.log('installing RabbitMQ by apt-get, once; the tests that need a broker start it themselves');
  try {
    await withoutServices(async () => {
      const args = ['install', '-y', '--no-install-recommends', 'rabbitmq-server'];
      if ((await aptGet(args)).code === 0) return;
      // The list of packages is missing or old.
      await aptGet(['update']);
      const { code, output } = await aptGet(args);
      if (code !== 0) throw new Error(output.split('\n').slice(-5).join('\n'));
    });
  } catch (error) {
    return { path: null, problem: `RabbitMQ could not be installed: ${messageOf(error)}\n${advice}` };
  }
  return (await find()) ?? { path: null, problem: `RabbitMQ was installed and is not found. ${advice}` };
}

function aptGet(args: readonly string[]) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return run('apt-get', ['-q', ...args], { env, signal: AbortSignal.timeout(10 * 60_000) });
}

/** Debian starts a service when it is installed, unless this file says that it may not (policy-rc.d, invoke-rc.d(8)). */
async function withoutServices(work: () => Promise<void>): Promise<void> {
  const policy = '/usr/sbin/policy-rc.d';
  const isOurs = (await executable(policy)) === undefined;
  if (isOurs) await writeFile(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    await work();
  } finally {
    if (isOurs) await rm(policy, { force: true });
  }
}
