import { randomBytes } from 'node:crypto';
import { ApplicationFailure, type Payload, ValueError, defaultPayloadConverter } from '@temporalio/common';
import { expect, test } from 'vitest';
import { dataConverterOf } from '../../src/adapters/temporal/data-converter.ts';
import { customerHashes, parseKeyRing } from '../../src/adapters/temporal/key-ring.ts';
import { createPayloadCodec } from '../../src/adapters/temporal/payload-codec.ts';
import { readConfig } from '../../src/config.ts';
import { failureConverter } from '../../src/workflows/failure-converter.ts';

const old = `old:${randomBytes(32).toString('base64')}`;
const young = `young:${randomBytes(32).toString('base64')}`;
const codecOf = (keys: string | undefined, namespace = 'shop') =>
  createPayloadCodec(namespace, keys === undefined ? undefined : parseKeyRing(keys));

const plain = (value: unknown): Payload => defaultPayloadConverter.toPayload(value);
const valueIn = (payload: Payload | undefined): unknown => payload && defaultPayloadConverter.fromPayload(payload);
const keyOf = (payload: Payload | undefined): string =>
  Buffer.from(payload?.metadata?.['encryption-key-id'] ?? []).toString();

test('what is encrypted comes back as it was, and shows nothing but the id of its key', async () => {
  const codec = codecOf(old);
  const values = [{ orderId: 'o-81' }, 'Ada', new Uint8Array([0, 255]), undefined, null];
  const sealed = await codec.encode(values.map(plain));
  expect((await codec.decode(sealed)).map(valueIn)).toEqual(values);
  const bytes = sealed.map(({ data }) => Buffer.from(data ?? []).toString('latin1')).join('');
  expect(bytes).not.toMatch(/Ada|o-81|json/);
  expect(sealed.map(keyOf)).toEqual(values.map(() => 'old'));
});

test('what the SDK reads from the wire without data is encrypted as well', async () => {
  const empty = { metadata: { encoding: Buffer.from('binary/null') }, data: [] as unknown as Uint8Array };
  const [back] = await codecOf(old).decode(await codecOf(old).encode([empty]));
  expect(valueIn(back)).toBeUndefined();
});

test('a key is the same in hex as in base64', async () => {
  const bytes = randomBytes(32);
  const sealed = await codecOf(`k:${bytes.toString('hex')}`).encode([plain('Ada')]);
  expect((await codecOf(`k:${bytes.toString('base64')}`).decode(sealed)).map(valueIn)).toEqual(['Ada']);
});

test('the same payload never looks the same twice', async () => {
  const [one, two] = await codecOf(old).encode([plain('Ada'), plain('Ada')]);
  expect(one?.data).not.toEqual(two?.data);
});

test('a new key put first encrypts, and what the old one encrypted is read for as long as it is there', async () => {
  const [before] = await codecOf(old).encode([plain('before')]);
  const both = codecOf(`${young}, ${old}`);
  const [after] = await both.encode([plain('after')]);
  expect([before, after].map(keyOf)).toEqual(['old', 'young']);
  expect((await both.decode([before ?? {}, after ?? {}])).map(valueIn)).toEqual(['before', 'after']);
  const gone = codecOf(young).decode([before ?? {}]);
  await expect(gone).rejects.toThrow(ValueError);
  await expect(gone).rejects.toThrow(
    /key 'old', which is not in EVENKEEL_PAYLOAD_KEYS \(here are young\); put it back/,
  );
});

test('without keys nothing is encrypted, and what is encrypted is refused by the name of its key', async () => {
  const payload = plain('Ada');
  expect(await codecOf(undefined).encode([payload])).toEqual([payload]);
  await expect(codecOf(undefined).decode(await codecOf(old).encode([payload]))).rejects.toThrow(
    /'old'.*there is none here/,
  );
});

test('a payload from before encryption was on is read as it is', async () => {
  expect(await codecOf(old).decode([plain('Ada'), {}])).toEqual([plain('Ada'), {}]);
});

test('a changed payload is refused, wherever it was changed', async () => {
  const [sealed = {}] = await codecOf(old).encode([plain('Ada')]);
  const data = Buffer.from(sealed.data ?? []);
  for (const at of [0, 12, data.length - 17, data.length - 1]) {
    const changed = Buffer.from(data);
    changed[at] = (changed[at] ?? 0) ^ 1;
    await expect(codecOf(old).decode([{ ...sealed, data: changed }])).rejects.toThrow(/cannot be decrypted/);
  }
  for (const cut of [0, 5, 20]) {
    await expect(codecOf(old).decode([{ ...sealed, data: data.subarray(0, cut) }])).rejects.toThrow(ValueError);
  }
});

test("another namespace's payload is refused, and one that says another key encrypted it", async () => {
  const [sealed = {}] = await codecOf(old, 'shop').encode([plain('Ada')]);
  await expect(codecOf(old, 'other').decode([sealed])).rejects.toThrow(/another namespace than 'other'/);
  const sameKey = old.replace('old:', 'alias:');
  const renamed = { ...sealed, metadata: { ...sealed.metadata, 'encryption-key-id': Buffer.from('alias') } };
  await expect(codecOf(sameKey).decode([renamed])).rejects.toThrow(/cannot be decrypted/);
});

test.each([
  ['', /key 1 is not as id:base64/],
  ['nokey', /key 1 is not/],
  [`a b:${'A'.repeat(43)}=`, /key 1 is not/],
  [`${old},short:AAAA`, /key 'short' has 3 bytes/],
  [`${old},${old}`, /two keys have the id 'old'/],
])('the keys %j are refused without being shown', (keys, why) => {
  expect(() => parseKeyRing(keys)).toThrow(why);
  if (keys === '') return;
  let said = '';
  try {
    readConfig({ EVENKEEL_PAYLOAD_KEYS: keys });
  } catch (error) {
    said = String(error);
  }
  expect(said).toMatch(why);
  expect(said).not.toContain(keys);
});

test('the texts of failures are in payloads, and are read from there', () => {
  const failure = failureConverter.errorToFailure(
    ApplicationFailure.create({ message: 'no such street: 12 St James Square', type: 'provider_rejected' }),
    defaultPayloadConverter,
  );
  expect(failure).toMatchObject({ message: 'Encoded failure', stackTrace: '' });
  expect(failure.encodedAttributes).toBeDefined();
  const back = failureConverter.failureToError(failure, defaultPayloadConverter);
  expect(back).toMatchObject({ message: 'no such street: 12 St James Square', type: 'provider_rejected' });
});

test('failures stay readable where nothing is encrypted', () => {
  expect(dataConverterOf({ EVENKEEL_PAYLOAD_KEYS: undefined }, 'shop').failureConverterPath).toBeUndefined();
  expect(dataConverterOf({ EVENKEEL_PAYLOAD_KEYS: old }, 'shop').failureConverterPath).toMatch(
    /failure-converter\.ts$/,
  );
});

test('a customer is recognized under every key of the ring, and under none of another one', () => {
  const before = customerHashes(parseKeyRing(old))('ada');
  expect(customerHashes(parseKeyRing(`${young},${old}`))('ada')).toEqual(expect.arrayContaining([...before]));
  expect(customerHashes(parseKeyRing(young))('ada')).not.toContain(before[0]);
  expect(customerHashes(parseKeyRing(old))('bob')).not.toContain(before[0]);
  expect(customerHashes(undefined)('ada')).toEqual([]);
});
