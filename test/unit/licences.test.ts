/** What may be used with what is distributed: the lock file names the licence of every package, for every platform. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

const root = new URL('../../', import.meta.url);
const lockFile = z.object({
  packages: z.record(
    z.string(),
    z.object({ license: z.string().optional(), dev: z.boolean().default(false), version: z.string().default('') }),
  ),
});
type Lock = z.input<typeof lockFile>;

/** Permissive: they ask to be named, and nothing of those who use them. */
const ALLOWED = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'CC-BY-4.0',
  'ISC',
  'MIT',
  'MIT-0',
  'Unlicense',
]);
/** Of tools that are not distributed: their own changes are to be published, ours are none of theirs. */
const ALLOWED_IN_TOOLS = new Set([...ALLOWED, 'MPL-2.0']);

/** Packages whose package.json names none, and where it stands instead. */
const ELSEWHERE: Readonly<Record<string, string>> = { 'unionfs@4.6.0': 'Unlicense' };

/** Each package whose licence is not on the list for its use, or that names none. */
function refused(lock: Lock): string[] {
  return Object.entries(lockFile.parse(lock).packages).flatMap(([place, { license, dev, version }]) => {
    if (place === '') return [];
    const id = `${place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length)}@${version}`;
    const named = license ?? ELSEWHERE[id];
    const allowed = dev ? ALLOWED_IN_TOOLS : ALLOWED;
    if (named !== undefined && choices(named).some((all) => all.every((one) => allowed.has(one)))) return [];
    return [`${id}: ${named ?? 'no licence'}`];
  });
}

/** An SPDX expression without inner brackets: any of these, each of them all. */
function choices(expression: string): string[][] {
  const bare = expression.replace(/^\((.*)\)$/, '$1');
  return bare.split(' OR ').map((choice) => choice.split(' AND '));
}

const text = (path: string): string => readFileSync(new URL(path, root), 'utf8');
const actual = lockFile.parse(JSON.parse(text('package-lock.json')));

describe('the licences of dependencies', () => {
  it('are on the list', () => {
    expect(refused(actual)).toEqual([]);
  });

  it('are those that the packages name themselves', () => {
    const installed = Object.entries(actual.packages).filter(
      ([place]) => place !== '' && existsSync(new URL(`${place}/package.json`, root)),
    );
    const differing = installed.filter(([place, { license }]) => {
      const own = (JSON.parse(text(`${place}/package.json`)) as { license?: unknown }).license;
      return own !== license;
    });
    expect(installed.length).toBeGreaterThan(100);
    expect(differing).toEqual([]);
  });

  it.each([
    ['none', {}],
    ['one that is not on the list', { license: 'GPL-3.0-only' }],
    ['two that hold together, one of which is not on it', { license: '(MIT AND GPL-2.0-only)' }],
    ['one for tools alone, of what is distributed', { license: 'MPL-2.0' }],
  ])('are refused: %s', (_, named) => {
    expect(refused({ packages: { 'node_modules/a': { version: '1.0.0', ...named } } })).toHaveLength(1);
  });

  it.each([
    ['a choice', { license: '(GPL-2.0-only OR MIT)' }],
    ['one for tools', { license: 'MPL-2.0', dev: true }],
  ])('are taken: %s', (_, named) => {
    expect(refused({ packages: { 'node_modules/a': { version: '1.0.0', ...named } } })).toEqual([]);
  });
});
