/** Guards against a lock made with packages whose platform parts are not all published: `npm ci` fails on it elsewhere. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

const versions = z.record(z.string(), z.string()).default({});
const lockFile = z.object({
  lockfileVersion: z.number(),
  packages: z.record(
    z.string(),
    z.object({
      version: z.string().optional(),
      resolved: z.string().optional(),
      integrity: z.string().optional(),
      optionalDependencies: versions,
    }),
  ),
});
type Lock = z.input<typeof lockFile>;

/**
 * The optional dependencies that an installation from `lock` would not find by Node's resolution, which looks in the
 * package's own node_modules and then in each one above; or would find in another version than the one it pins.
 */
function missing(lock: Lock): string[] {
  const { packages } = lockFile.parse(lock);
  return Object.entries(packages).flatMap(([place, { optionalDependencies }]) =>
    Object.entries(optionalDependencies).flatMap(([name, wanted]) => {
      const found = ancestors(place).find((above) => packages[`${above}node_modules/${name}`] !== undefined);
      if (found === undefined) return [`${place} wants ${name} ${wanted}: not in the lock`];
      const { version = '' } = packages[`${found}node_modules/${name}`] ?? {};
      const pinned = /^\d/.test(wanted);
      return pinned && version !== wanted ? [`${place} wants ${name} ${wanted}: the lock has ${version}`] : [];
    }),
  );
}

/** The folders whose node_modules Node looks in, innermost first, each with its slash; the root is ''. */
function ancestors(place: string): string[] {
  const above = place.split(/(?:^|\/)node_modules\//).slice(1);
  return [
    '',
    ...above.map((_, index) => `node_modules/${above.slice(0, index + 1).join('/node_modules/')}/`),
  ].toReversed();
}

const actual = lockFile.parse(JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8')));

describe('the lock file', () => {
  it('holds every optional platform package', () => {
    expect(missing(actual)).toEqual([]);
  });

  it('names no registry, so that any can be used, and a checksum for every package, so that none need be trusted', () => {
    const packages = Object.entries(actual.packages).filter(([place]) => place !== '');
    expect(packages.filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
    expect(packages.filter(([, { integrity }]) => !integrity?.startsWith('sha512-'))).toEqual([]);
  });

  it('has the form that this test reads, with platform packages in it', () => {
    expect(actual.lockfileVersion).toBe(3);
    expect(actual.packages['node_modules/oxlint']?.optionalDependencies).toHaveProperty(
      '@oxlint/binding-linux-x64-gnu',
    );
  });
});

describe('what is missing from a lock', () => {
  const binding = { version: '1.0.0' };
  const tool = { version: '1.0.0', optionalDependencies: { '@tool/linux': '1.0.0' } };

  it('is a platform package that is nowhere', () => {
    expect(missing({ lockfileVersion: 3, packages: { 'node_modules/tool': tool } })).toEqual([
      'node_modules/tool wants @tool/linux 1.0.0: not in the lock',
    ]);
  });

  it('is one that lies where Node does not look from there', () => {
    const packages = { 'node_modules/tool': tool, 'node_modules/other/node_modules/@tool/linux': binding };
    expect(missing({ lockfileVersion: 3, packages })).toHaveLength(1);
  });

  it('is one whose nearest copy has another version', () => {
    const packages = {
      'node_modules/a/node_modules/tool': tool,
      'node_modules/a/node_modules/@tool/linux': { ...binding, version: '2.0.0' },
      'node_modules/@tool/linux': binding,
    };
    expect(missing({ lockfileVersion: 3, packages })).toEqual([
      'node_modules/a/node_modules/tool wants @tool/linux 1.0.0: the lock has 2.0.0',
    ]);
  });

  it.each([
    'node_modules/a/node_modules/tool/node_modules/@tool/linux',
    'node_modules/a/node_modules/@tool/linux',
    'node_modules/@tool/linux',
  ])('is not one at %s', (place) => {
    const packages = { 'node_modules/a/node_modules/tool': tool, [place]: binding };
    expect(missing({ lockfileVersion: 3, packages })).toEqual([]);
  });
});
