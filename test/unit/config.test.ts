import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ConfigError, describeConfig, readConfig, requirePeers } from '../../src/config.ts';
import { parseNetwork } from '../../src/domain/ip-address.ts';

describe('the settings', () => {
  test('name every one that cannot be used, with its value', () => {
    const read = (): unknown => readConfig({ EVENKEEL_HTTP_PORT: '80 80', EVENKEEL_LOG_LEVEL: 'loud' });
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(/EVENKEEL_HTTP_PORT="80 80"/);
    expect(read).toThrow(/EVENKEEL_LOG_LEVEL="loud"/);
  });

  test('ask for no more messages at a time than the protocol can count', () => {
    expect(readConfig({ EVENKEEL_AMQP_PREFETCH: '65535' }).EVENKEEL_AMQP_PREFETCH).toBe(65_535);
    expect(() => readConfig({ EVENKEEL_AMQP_PREFETCH: '65536' })).toThrow(/EVENKEEL_AMQP_PREFETCH="65536"/);
  });

  test('never show a secret, however wrong it is', () => {
    const env = { CARRIER_CALLBACK_SECRET: 'short', DATABASE_URL: 'no url with pass-word' };
    expect(() => readConfig(env)).toThrow(/CARRIER_CALLBACK_SECRET/);
    expect(() => readConfig(env)).not.toThrow(/short|pass-word/);
  });

  test.each(['PAYMENT_GATEWAY_URL', 'PAYMENT_GATEWAY_FALLBACK_URLS', 'RISK_URL', 'EVENKEEL_CODEC_ORIGINS'])(
    'never show the password of a URL, nor whose it is: %s',
    (name) => {
      const env = { [name]: 'https://shop:pass@word@h:99999' };
      expect(() => readConfig(env)).toThrow(/h:99999/);
      expect(() => readConfig(env)).not.toThrow(/shop|pass|word/);
    },
  );

  test('have a default each, and take an empty variable for an absent one', () => {
    expect(readConfig({ EVENKEEL_HTTP_PORT: '', DATABASE_URL: '' })).toEqual(readConfig({}));
    expect(readConfig({}).EVENKEEL_HTTP_PORT).toBe(8080);
  });

  test('cannot be changed once they are read', () => {
    expect(Object.isFrozen(readConfig({}))).toBe(true);
  });

  test('hand on what Temporal reads by its own rules', () => {
    const env = { TEMPORAL_ADDRESS: 'localhost:7233', TEMPORAL_API_KEY: 'k', TEMPORAL_PROFILE: '', OTHER: 'x' };
    expect(readConfig(env).temporalEnv).toEqual({ TEMPORAL_ADDRESS: 'localhost:7233', TEMPORAL_API_KEY: 'k' });
  });

  test('name the peers that are missing', () => {
    const config = readConfig({ DATABASE_URL: 'postgres://u:p@localhost:5432/d', TEMPORAL_ADDRESS: 'localhost:7233' });
    expect(() => requirePeers(config)).toThrow('set PAYMENT_GATEWAY_URL, CARRIER_URL');
  });

  test.each(['fe80::1%eth0/64', '10.0.0.0', '10.0.0.0/33', '10.0.0.0/8,', '010.0.0.0/8', '10.0.0.0/8 11.0.0.0/8'])(
    'take no network that webhooks could not be sent to: %s',
    (networks) => {
      expect(() => readConfig({ EVENKEEL_WEBHOOK_NETWORKS: networks })).toThrow(ConfigError);
    },
  );

  test('take networks that the sender can read, several with blanks between them too', () => {
    const env = { EVENKEEL_WEBHOOK_NETWORKS: '10.0.0.1/8, ::ffff:10.0.0.0/104,fd00::/8' };
    const { EVENKEEL_WEBHOOK_NETWORKS: networks } = readConfig(env);
    expect(networks).toEqual(['10.0.0.1/8', '::ffff:10.0.0.0/104', 'fd00::/8']);
    expect(networks.map(parseNetwork)).toHaveLength(3);
  });

  test('are all described', () => {
    for (const { name, meaning } of describeConfig()) expect([name, meaning === '']).toEqual([name, false]);
  });
});

describe('a setting from a file', () => {
  /** A file with that in it, for the test that runs. */
  function fileWith(content: string): string {
    const folder = mkdtempSync(join(tmpdir(), 'evenkeel-config-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'value');
    writeFileSync(file, content);
    return file;
  }

  test.each(['\n', '\r\n', ''])('is what the file holds, without the line break at its end (%j)', (end) => {
    const secret = ' sixteen letters or more \n and two lines';
    const config = readConfig({ CARRIER_CALLBACK_SECRET_FILE: fileWith(secret + end) });
    expect(config.CARRIER_CALLBACK_SECRET).toBe(secret);
  });

  test('may be any setting, whatever its type', () => {
    const env = { EVENKEEL_HTTP_PORT_FILE: fileWith('8181\n'), DATABASE_URL_FILE: fileWith('postgres://u:p@h:1/d\n') };
    expect(readConfig(env)).toMatchObject({ EVENKEEL_HTTP_PORT: 8181, DATABASE_URL: 'postgres://u:p@h:1/d' });
  });

  test('is handed on to Temporal, without the variable that names the file', () => {
    const TEMPORAL_ADDRESS = 'localhost:7233';
    const files = { TEMPORAL_API_KEY_FILE: fileWith('key\n'), TEMPORAL_NAMESPACE_FILE: fileWith('shop\n') };
    const read = { TEMPORAL_ADDRESS, TEMPORAL_API_KEY: 'key', TEMPORAL_NAMESPACE: 'shop' };
    expect(readConfig({ TEMPORAL_ADDRESS, ...files }).temporalEnv).toEqual(read);
  });

  test("leaves alone what is Temporal's own", () => {
    const env = { TEMPORAL_ADDRESS: 'localhost:7233', TEMPORAL_CONFIG_FILE: fileWith('[profile.default]') };
    expect(readConfig(env).temporalEnv).toEqual(env);
  });

  test('counts as absent where the variable is empty', () => {
    const config = readConfig({ DATABASE_URL_FILE: '', DATABASE_URL: 'postgres://u:p@h:1/d' });
    expect(config.DATABASE_URL).toBe('postgres://u:p@h:1/d');
  });

  test('cannot be given beside the setting itself', () => {
    const file = fileWith('postgres://u:of-the-file@h:1/d');
    const env = { DATABASE_URL: 'postgres://u:of-the-variable@h:1/d', DATABASE_URL_FILE: file };
    expect(() => readConfig(env)).toThrow(ConfigError);
    expect(() => readConfig(env)).toThrow('DATABASE_URL and DATABASE_URL_FILE: set one of them');
    expect(() => readConfig(env)).not.toThrow(/of-the-(file|variable)/);
  });

  test('stops the program where its file cannot be read, is a folder, or is empty, and names the file', () => {
    const nowhere = join(tmpdir(), 'there-is-no-such-file');
    const [folder, empty] = [tmpdir(), fileWith('\n')];
    const env = { DATABASE_URL_FILE: nowhere, AMQP_URL_FILE: folder, CARRIER_CALLBACK_SECRET_FILE: empty };
    expect(() => readConfig(env)).toThrow(`DATABASE_URL_FILE=${nowhere}: the file cannot be read (ENOENT)`);
    expect(() => readConfig(env)).toThrow(`AMQP_URL_FILE=${folder}: the file cannot be read (EISDIR)`);
    expect(() => readConfig(env)).toThrow(`CARRIER_CALLBACK_SECRET_FILE=${empty}: the file is empty`);
  });

  test('is named by its file where it cannot be used, and never shown', () => {
    const names = ['CARRIER_CALLBACK_SECRET', 'DATABASE_URL', 'EVENKEEL_HTTP_PORT', 'EVENKEEL_WEBHOOK_NETWORKS'];
    const files = names.map((name) => [`${name}_FILE`, fileWith('hush')] as const);
    const env = Object.fromEntries(files);
    for (const [name, file] of files) expect(() => readConfig(env)).toThrow(`${name}=${file}: `);
    expect(() => readConfig(env)).not.toThrow(/hush/);
  });
});
