/** What a roll-out does, in which order, and what is left where it fails; by a `docker` that only keeps book. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { run } from '../../src/embedded/run.ts';
import { ROOT } from '../support/compose-file.ts';

interface Container {
  readonly id: string;
  readonly service: string;
  readonly image: string;
}
interface Book {
  containers: Container[];
  /** In the order in which it was done. */
  done: string[];
}

/** Answers as Docker does; an image whose name has `broken` in it becomes healthy never. */
const docker = `#!${process.execPath}
const { readFileSync, writeFileSync } = require('node:fs');
const file = process.env.BOOK;
const book = JSON.parse(readFileSync(file, 'utf8'));
const words = process.argv.slice(2);
const image = process.env.EVENKEEL_IMAGE;
const [verb, ...rest] = words[0] === 'compose' ? words.slice(1) : words;
const service = words.at(-1);
const of = (id) => book.containers.find((container) => container.id === id);
const say = (what) => book.done.push(what);
if (verb === 'ps') for (const { id } of book.containers.filter((one) => one.service === service)) console.log(id);
else if (verb === 'run') say('run ' + service + ' ' + image);
else if (verb === 'up') {
  if (!rest.includes('--no-recreate') || !rest.includes('--no-deps')) throw new Error('this would stop others');
  const wanted = Number(rest[rest.indexOf('--scale') + 1].split('=')[1]);
  while (book.containers.filter((one) => one.service === service).length < wanted) {
    book.containers.push({ id: service + '-' + (book.containers.length + 1), service, image });
    say('start ' + service + ' ' + image);
  }
} else if (verb === 'inspect') console.log(of(service).image.includes('broken') ? 'unhealthy' : 'healthy');
else if (verb === 'stop') for (const id of rest) say('stop ' + of(id).service + ' ' + of(id).image);
else if (verb === 'rm') book.containers = book.containers.filter(({ id }) => !rest.includes(id));
else if (verb === 'image') process.exitCode = 1;
else if (verb === 'pull') say('pull ' + service);
else if (verb !== 'logs') throw new Error('what is ' + words.join(' '));
writeFileSync(file, JSON.stringify(book));
`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'evenkeel-roll-out-'));
  mkdirSync(join(folder, 'bin'));
  writeFileSync(join(folder, 'bin/docker'), docker, { mode: 0o755 });
  writeFileSync(join(folder, 'bin/sleep'), '#!/bin/sh\n', { mode: 0o755 });
  cpSync(join(ROOT, 'ops/compose/roll-out.sh'), join(folder, 'ops/compose/roll-out.sh'));
  const running = ['worker', 'worker', 'worker', 'api'].map((service, index) => ({
    id: `${service}-${index}`,
    service,
    image: 'former',
  }));
  writeFileSync(join(folder, 'book'), JSON.stringify({ containers: running, done: [] } satisfies Book));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function rollOut(
  ...words: string[]
): Promise<Book & { readonly code: number | null; readonly running: string[] }> {
  const env = { PATH: `${join(folder, 'bin')}:${process.env['PATH']}`, BOOK: join(folder, 'book') };
  const { code } = await run('sh', [join(folder, 'ops/compose/roll-out.sh'), ...words], { env });
  const book = JSON.parse(readFileSync(join(folder, 'book'), 'utf8')) as Book;
  return { ...book, code, running: book.containers.map(({ service, image }) => `${service} ${image}`) };
}
const envFile = (): string => readFileSync(join(folder, '.env'), 'utf8');
const three = (what: string): string[] => [what, what, what];

test('the new ones stand before the old ones go: schema, workers, APIs; as many as there were', async () => {
  const { code, done, running } = await rollOut('newer');
  expect(done).toEqual([
    'pull newer',
    'run migrate newer',
    ...three('start worker newer'),
    ...three('stop worker former'),
    'start api newer',
    'stop api former',
  ]);
  expect(running.toSorted()).toEqual(['api newer', ...three('worker newer')]);
  expect(code).toBe(0);
});

test('back again it is the other way round, and the schema stays', async () => {
  const { done } = await rollOut('--back', 'newer');
  expect(done.map((what) => what.replace(/ \w+$/, ''))).toEqual([
    'pull',
    'start api',
    'stop api',
    ...three('start worker'),
    ...three('stop worker'),
  ]);
});

test('the image is what every later command finds in .env, beside what stood there', async () => {
  writeFileSync(join(folder, '.env'), 'EVENKEEL_IMAGE=former\nEVENKEEL_WORKERS=3\n');
  await rollOut('newer@sha256:1');
  expect(envFile()).toBe('EVENKEEL_WORKERS=3\nEVENKEEL_IMAGE=newer@sha256:1\n');
});

test('an image that does not become healthy leaves what was there, and .env as it was', async () => {
  const { code, done, running } = await rollOut('broken');
  expect(code).toBe(1);
  expect(running).toEqual([...three('worker former'), 'api former']);
  expect(done.filter((what) => what.startsWith('stop'))).toEqual([]);
  expect(existsSync(join(folder, '.env'))).toBe(false);
});
