import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { describeConfig } from '../../src/config.ts';
import { freePort } from '../../src/embedded/ports.ts';
import { Program } from '../support/program.ts';
import { waitFor } from '../support/wait.ts';

/** Found nowhere but in the settings, whole or encoded as addresses and headers have it. */
const CANARY = 'canary7f3e9c';
const ENCODED = [CANARY, encodeURIComponent(CANARY), Buffer.from(CANARY).toString('base64').replace(/=+$/, '')];

/** Every setting that holds a secret: one that is new has to be among them. */
const SECRETS: Readonly<Record<string, string>> = {
  DATABASE_URL: `postgres://evenkeel:${CANARY}@127.0.0.1:1/evenkeel`,
  EVENKEEL_MIGRATION_DATABASE_URL: `postgres://owner:${CANARY}@127.0.0.1:1/evenkeel`,
  AMQP_URL: `amqp://evenkeel:${CANARY}@127.0.0.1:1/`,
  SMTP_URL: `smtp://evenkeel:${CANARY}@127.0.0.1:1`,
  CARRIER_CALLBACK_SECRET: `${CANARY}-${CANARY}`,
  EVENKEEL_API_KEY: `ek_${CANARY}_${CANARY}`,
  EVENKEEL_PAYLOAD_KEYS: `k1:${Buffer.from(CANARY.padEnd(32, '!')).toString('base64')}`,
};
const OTHERS = {
  TEMPORAL_ADDRESS: '127.0.0.1:1',
  TEMPORAL_API_KEY: CANARY,
  TEMPORAL_GRPC_META_TEAM: CANARY,
  PAYMENT_GATEWAY_URL: 'http://127.0.0.1:1',
  CARRIER_URL: 'http://127.0.0.1:1',
  EVENKEEL_METRICS_PORT: '0',
  EVENKEEL_LOG_LEVEL: 'trace',
};

function program(words: readonly string[], env: Readonly<Record<string, string>>): Program {
  const made = new Program(words, env);
  onTestFinished(async () => void (await made.end('SIGKILL')));
  return made;
}

const written = ({ stdout, stderr }: Program): string => [...stdout, ...stderr].join('\n');

function expectNoSecret(said: string): void {
  for (const form of ENCODED) expect(said).not.toContain(form);
}

/** The same settings by files, as containers get them. */
function fromFiles(): Record<string, string> {
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-secrets-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const files = Object.entries({ ...SECRETS, TEMPORAL_API_KEY: CANARY }).map(([name, value]) => {
    const file = join(folder, name);
    writeFileSync(file, value);
    return [`${name}_FILE`, file];
  });
  const { TEMPORAL_API_KEY: _, ...others } = OTHERS;
  return { ...others, ...(Object.fromEntries(files) as Record<string, string>) };
}

test('every setting that sounds like a secret is tried here', () => {
  const sounding = describeConfig().filter(
    ({ name, meaning }) => /SECRET|PASSWORD|TOKEN|API_KEY|PAYLOAD_KEYS/.test(name) || /user:password/.test(meaning),
  );
  for (const { name } of sounding) expect(SECRETS).toHaveProperty(name);
});

test.each(['by variables', 'by files'])(
  'no secret is told by help, or by what cannot reach its peers: %s',
  async (how) => {
    const env = how === 'by files' ? fromFiles() : { ...SECRETS, ...OTHERS };
    const port = String(await freePort());
    for (const words of [['help', 'config'], ['migrate'], ['worker']]) {
      const one = program(words, env);
      await one.start();
      await one.exited();
      expect(written(one).length).toBeGreaterThan(20);
      expectNoSecret(written(one));
    }
    const api = program(['api'], { ...env, EVENKEEL_HTTP_PORT: port });
    await api.start('evenkeel api listens');
    await waitFor(
      'the API has said that its peers are away',
      () => /no connection to RabbitMQ/.test(written(api)),
      30_000,
    );
    const answer = await (await fetch(`http://127.0.0.1:${port}/readyz`)).text();
    await fetch(`http://127.0.0.1:${port}/v1/orders`, { headers: { authorization: `Bearer ek_${CANARY}` } });
    expectNoSecret(answer + written(api));
  },
);

test.each(Object.keys(SECRETS))('no secret is told by the refusal of a setting: %s', async (name) => {
  // A line break in the middle is what a copied secret has; a blank breaks an address.
  const broken = { ...OTHERS, ...SECRETS, [name]: `${CANARY} `, CARRIER_CALLBACK_SECRET: 'short' };
  const one = program(['api'], broken);
  await one.start();
  expect(await one.exited()).not.toBe(0);
  expectNoSecret(written(one));
});
