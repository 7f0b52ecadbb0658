#!/usr/bin/env node
// Plain JavaScript on purpose: it must run on any Node that can run `npm ci`, and find one that can run the rest.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const WANTED_MAJOR = 24;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

if (Number(process.versions.node.split('.')[0]) >= WANTED_MAJOR) {
  // The image holds compiled JavaScript; a checkout runs its TypeScript as it is.
  await import(existsSync(here('../src/main.ts')) ? '../src/main.ts' : '../dist/main.js');
} else {
  const bundled = here('../node_modules/node/bin/node');
  if (!existsSync(bundled)) {
    console.error(
      `evenkeel: this is Node ${process.versions.node}, and Evenkeel needs Node ${WANTED_MAJOR} or newer.\n` +
        "Run 'npm ci' (without --omit=dev), which brings one, or install Node 24.",
    );
    process.exit(1);
  }
  // `exec` would be right, and Node has none: hand the signals on and leave as the child does.
  // The pipe ends with this process, whatever ends it: then the child stops too, and leaves nothing behind.
  const child = spawn(bundled, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    env: { ...process.env, EVENKEEL_LAUNCHER_FD: '3' },
  });
  // A terminal sends Ctrl-C to the whole group, so the child has it already; a `kill` reaches this process alone.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('error', (error) => {
    console.error(`evenkeel: ${bundled} cannot be started: ${error.message}. Run 'npm ci' again.`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (signal) process.kill(process.pid, signal);
    else process.exit(code ?? 1);
  });
}
