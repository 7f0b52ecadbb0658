import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DefaultLogger, bundleWorkflowCode } from '@temporalio/worker';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** Sources run as TypeScript; what is compiled runs as JavaScript. */
const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
/** Where `evenkeel bundle` puts the bundle that a compiled worker uses. */
export const BUNDLE_PATH = here('../workflow-bundle.js');
const CACHE = here('../../node_modules/.cache/evenkeel');

export interface WorkflowBundle {
  readonly code: string;
}

/**
 * The code of all workflows, as the sandbox runs it: the one built ahead of time if there is one, else built now, which
 * takes some seconds the first time and nothing while neither the sources nor the SDK change.
 */
export async function workflowBundle(): Promise<WorkflowBundle> {
  if (extension === 'js' && existsSync(BUNDLE_PATH)) return { code: await readFile(BUNDLE_PATH, 'utf8') };
  const cached = join(CACHE, `workflows-${await sourcesHash()}.js`);
  if (existsSync(cached)) return { code: await readFile(cached, 'utf8') };
  const bundle = await buildBundle();
  await writeWhole(cached, bundle.code);
  return bundle;
}

/** Builds the bundle from the sources. */
export async function buildBundle(): Promise<WorkflowBundle> {
  return bundleWorkflowCode({
    workflowsPath: here(`../workflows/index.${extension}`),
    workflowInterceptorModules: [
      here(`../workflows/interceptors.${extension}`),
      here(`../workflows/metrics-interceptors.${extension}`),
    ],
    failureConverterPath: here(`../workflows/failure-converter.${extension}`),
    logger: new DefaultLogger('WARN'),
  });
}

/** Writes a file so that nobody ever reads half of it. */
export async function writeWhole(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const part = `${path}.${process.pid}.part`;
  await writeFile(part, content);
  await rename(part, path);
}

/** Whatever may enter the bundle: our own sandbox code and the SDK's version. */
async function sourcesHash(): Promise<string> {
  const hash = createHash('sha256');
  hash.update(await readFile(createRequire(import.meta.url).resolve('@temporalio/workflow/package.json')));
  for (const room of ['../workflows/', '../domain/']) {
    for (const file of (await readdir(here(room))).toSorted()) {
      hash.update(`${room}${file}\n`);
      hash.update(await readFile(join(here(room), file)));
    }
  }
  return hash.digest('hex').slice(0, 16);
}
