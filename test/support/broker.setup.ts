/** Finds a RabbitMQ for the tests that start one, or gets it, before the first test of a run. */
import { dirname, join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { executable, install, mayInstall, onPath } from './apt.ts';

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
const ADVICE = 'Install RabbitMQ 3.10 or newer (Debian, Ubuntu: rabbitmq-server), or set RABBITMQ_SERVER_PATH.';

// vitest loads this file once per project; one look is for all of them.
const shared = globalThis as { evenkeelRabbitmqServer?: Promise<RabbitmqServer> | undefined };

export async function setup(project: TestProject): Promise<void> {
  project.provide('rabbitmqServer', await (shared.evenkeelRabbitmqServer ??= look()));
}

async function look(): Promise<RabbitmqServer> {
  const found = await find();
  if (found !== undefined) return { path: found, problem: null };
  if (!(await mayInstall())) return { path: null, problem: `There is no rabbitmq-server on PATH. ${ADVICE}` };
  console.log('installing RabbitMQ by apt-get, once; the tests that need a broker start it themselves');
  const problem = await install(['rabbitmq-server']);
  if (problem !== undefined) return { path: null, problem: `RabbitMQ could not be installed: ${problem}\n${ADVICE}` };
  const path = await find();
  if (path === undefined) return { path: null, problem: `RabbitMQ was installed and is not found. ${ADVICE}` };
  return { path, problem: null };
}

async function find(): Promise<string | undefined> {
  const given = process.env['RABBITMQ_SERVER_PATH'];
  if (given !== undefined && given !== '') return given;
  for (const path of [...onPath('rabbitmq-server'), DEBIAN_PATH]) {
    const real = await executable(path);
    if (real?.endsWith(WRAPPER) === true) return join(dirname(real), 'rabbitmq-server');
    if (real !== undefined) return path;
  }
  return undefined;
}
