import { describe, expect, test } from 'vitest';
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

  test('have a default each, and take an empty variable for an absent one', () => {
    expect(readConfig({ EVENKEEL_HTTP_PORT: '', DATABASE_URL: '' })).toEqual(readConfig({}));
    expect(readConfig({}).EVENKEEL_HTTP_PORT).toBe(8080);
  });

  test('cannot be changed once they are read', () => {
    expect(Object.isFrozen(readConfig({}))).toBe(true);
  });

  test('hand on what Temporal reads by its own rules', () => {
    const env = { TEMPORAL_API_KEY: 'k', TEMPORAL_PROFILE: '', OTHER: 'x' };
    expect(readConfig(env).temporalEnv).toEqual({ TEMPORAL_API_KEY: 'k' });
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
