import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { temporalProfile } from '../../src/adapters/temporal/profile.ts';
import { ConfigError, readConfig } from '../../src/config.ts';

const address = 'temporal.example.com:7233';
const secret = 'canary-of-a-key';

function fileWith(content: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-profile-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'temporal.toml');
  writeFileSync(file, content);
  return file;
}

function messageOf(env: Readonly<Record<string, string>>): string {
  try {
    readConfig(env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message;
  }
  throw new Error('it was taken');
}

test('a profile gives the address, and what the environment says counts before it', () => {
  const file = fileWith(`[profile.cloud]\naddress = "${address}"\nnamespace = "shop"\napi_key = "${secret}"\n`);
  const env = { TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'cloud' };
  expect(readConfig(env).TEMPORAL_ADDRESS).toBe(address);
  expect(temporalProfile(readConfig(env).temporalEnv)).toMatchObject({
    namespace: 'shop',
    connectionOptions: { address, apiKey: secret, tls: true },
  });
  expect(readConfig({ ...env, TEMPORAL_ADDRESS: 'localhost:1' }).TEMPORAL_ADDRESS).toBe('localhost:1');
});

test('the profile that other tools use is taken if it is asked for, and not otherwise', () => {
  const home = mkdtempSync(join(tmpdir(), 'evenkeel-home-'));
  onTestFinished(() => rmSync(home, { recursive: true }));
  mkdirSync(join(home, 'temporalio'));
  writeFileSync(join(home, 'temporalio', 'temporal.toml'), `[profile.cloud]\naddress = "${address}"\n`);
  expect(readConfig({ XDG_CONFIG_HOME: home }).TEMPORAL_ADDRESS).toBeUndefined();
  expect(readConfig({ XDG_CONFIG_HOME: home, TEMPORAL_PROFILE: 'cloud' }).TEMPORAL_ADDRESS).toBe(address);
  expect(messageOf({ XDG_CONFIG_HOME: home, TEMPORAL_PROFILE: 'other' })).toMatch(/Profile 'other' not found/);
});

test('what is said of no server is not said to the one that `start` brings', () => {
  const env = { TEMPORAL_API_KEY: secret, TEMPORAL_TLS: 'true', TEMPORAL_NAMESPACE: 'shop' };
  expect(readConfig(env).temporalEnv).toEqual({ TEMPORAL_NAMESPACE: 'shop' });
});

test.each([
  ['a configuration file that is not there', { TEMPORAL_CONFIG_FILE: '/nowhere.toml' }, /nowhere\.toml cannot be read/],
  ['a certificate that is not there', { TEMPORAL_TLS_CLIENT_CERT_PATH: '/nowhere.pem' }, /nowhere\.pem cannot be read/],
  ['a certificate without its key', { TEMPORAL_TLS_CLIENT_CERT_DATA: 'x' }, /needs both/],
  ['a key without its certificate', { TEMPORAL_TLS_CLIENT_KEY_DATA: secret }, /needs both/],
  ['a key in two lines', { TEMPORAL_API_KEY: `${secret}\nX-Other: 1` }, /no header may hold/],
  ['a header in two lines', { TEMPORAL_GRPC_META_TEAM: `${secret}\n` }, /the header team .*no header may hold/],
  ['both forms of a certificate', { TEMPORAL_TLS_CLIENT_KEY_DATA: secret, TEMPORAL_TLS_CLIENT_KEY_PATH: '/x' }, /both/],
] as [string, Record<string, string>, RegExp][])('%s is named, and no secret is shown', (_, env, why) => {
  const message = messageOf({ TEMPORAL_ADDRESS: address, ...env });
  expect(message).toMatch(why);
  expect(message).not.toContain(secret);
});

test('a configuration file that is no TOML is named by its line, and not quoted', () => {
  const file = fileWith(`[profile.default]\napi_key = ${secret}\n`);
  const message = messageOf({ TEMPORAL_CONFIG_FILE: file });
  expect(message).toMatch(/no TOML from its line 2 on/);
  expect(message).not.toContain(secret);
});
