/** Who gets which secret of the compose stack, and that none is written down. */
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { check, filesIn, read } from '../support/compose-check.ts';
import { composeFile, mountsOf } from '../support/compose-file.ts';

const all = Object.entries(composeFile().services);

describe('secrets', () => {
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-secrets-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const env = { SECRETS_DIR: folder, POSTGRES_ADDRESS: 'postgres:5432', RABBITMQ_ADDRESS: 'rabbitmq:5672' };
  const make = async (): Promise<void> => {
    expect(await check('sh', ['ops/compose/secrets.sh'], env)).toMatchObject({ faults: '' });
  };
  const files = (): string[] =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => statSync(join(folder, path)).isFile());
  const contents = (): Record<string, string> =>
    Object.fromEntries(files().map((file) => [file, readFileSync(join(folder, file), 'utf8')]));

  test('are in none of the files', () => {
    const written = ['docker-compose.yml', 'Dockerfile', ...filesIn('ops', '.sh'), ...filesIn('ops', '.js')];
    for (const file of [...written, ...filesIn('ops/temporal', '.yaml'), ...filesIn('.github', '.yml')]) {
      // A name that tells of a secret, and behind it one word that stands for nothing but itself.
      const literal =
        /(?:password|passwd|secret|token|api_?key)['"]?\s*[:=]\s*['"]?(?!\/|true\b)[\w+/=.-]{4,}['"]?,?$/gim;
      expect([file, read(file).match(literal)]).toEqual([file, null]);
      expect([file, read(file).match(/:\/\/[^\s/$:@]+:[^\s/$@]+@/g)]).toEqual([file, null]);
    }
  });

  test('are made once: strong, each another, for one user alone', async () => {
    await make();
    const first = contents();
    await make();
    expect(contents()).toEqual(first);
    const originals = Object.entries(first).filter(([file]) => file.startsWith('originals/'));
    expect(originals.length).toBeGreaterThan(6);
    expect(new Set(originals.map(([, secret]) => secret)).size).toBe(originals.length);
    for (const [, secret] of originals) expect(secret).toMatch(/^[0-9a-f]{64}$/);
    for (const file of files()) expect([file, statSync(join(folder, file)).mode & 0o077]).toEqual([file, 0]);
  });

  test('are put back where one is missing, as they were', async () => {
    await make();
    const before = contents();
    rmSync(join(folder, 'evenkeel'), { recursive: true });
    await make();
    expect(contents()).toEqual(before);
  });

  test('reach each service that asks for them, from a volume that is its own', async () => {
    await make();
    const handed = files().filter((file) => !file.startsWith('originals/'));
    const asked = all.flatMap(([, { environment = {} }]) =>
      Object.values(environment).flatMap((value) => /^\/run\/secrets\/(.+)/.exec(value)?.[1] ?? []),
    );
    for (const path of asked) expect(handed.some((file) => file === path || file.startsWith(`${path}/`))).toBe(true);
    for (const [name, service] of all) {
      if (name === 'secrets') continue;
      const mounted = mountsOf(service).filter(({ source }) => source.startsWith('secrets-'));
      expect([name, mounted.length <= 1]).toEqual([name, true]);
      for (const { source, target } of mounted) expect(target).toBe(`/run/secrets/${source.slice('secrets-'.length)}`);
      expect(mounted.map(({ source }) => source)).not.toContain('secrets-originals');
    }
  });
});
