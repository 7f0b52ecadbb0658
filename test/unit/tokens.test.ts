import { once } from 'node:events';
import { createServer } from 'node:http';
import { type CryptoKey, type JWK, SignJWT, exportJWK, exportSPKI, generateKeyPair } from 'jose';
import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { createTokenVerifier } from '../../src/adapters/oidc/tokens.ts';
import { createAuthenticator } from '../../src/api/authenticator.ts';
import { readConfig } from '../../src/config.ts';
import { DomainFailure, type FailureCode } from '../../src/domain/failures.ts';
import { tokensOf } from '../../src/token-settings.ts';

interface Pair {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
}

async function pair(kid: string, alg = 'ES256'): Promise<Pair> {
  return { kid, ...(await generateKeyPair(alg, { extractable: true })) };
}

let one: Pair;
let other: Pair;
beforeAll(async () => {
  one = await pair('one');
  other = await pair('other');
});

/** An issuer on this machine, of which a test says what it publishes and whether it is there. */
async function startIssuer() {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    const answer = (status: number, body: unknown) => response.writeHead(status).end(JSON.stringify(body));
    if (issuer.isAway) return void request.socket.destroy();
    if (request.url === '/keys') return void answer(200, { keys: issuer.keys });
    return void answer(200, { issuer: issuer.calledItself ?? issuer.url, jwks_uri: `${issuer.url}/keys` });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  const issuer = {
    url: `http://127.0.0.1:${address.port}`,
    keys: [] as JWK[],
    isAway: false,
    calledItself: undefined as string | undefined,
    asked,
    async publish(...pairs: Pair[]) {
      issuer.keys = await Promise.all(
        pairs.map(async ({ kid, publicKey }) => ({ ...(await exportJWK(publicKey)), kid, use: 'sig' })),
      );
    },
  };
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  return issuer;
}

let issuer: Awaited<ReturnType<typeof startIssuer>>;
beforeEach(async () => {
  issuer = await startIssuer();
  await issuer.publish(one);
});

const inAnHour = () => Math.floor(Date.now() / 1000) + 3600;

function token(claims: Record<string, unknown> = {}, { kid, privateKey } = one, alg = 'ES256'): Promise<string> {
  const payload = { iss: issuer.url, sub: 'ada', aud: 'evenkeel', exp: inAnHour(), ...claims };
  return new SignJWT(payload).setProtectedHeader({ alg, kid }).sign(privateKey);
}

function verifier(options: Partial<Parameters<typeof createTokenVerifier>[0]> = {}) {
  return createTokenVerifier({
    issuer: issuer.url,
    audience: 'evenkeel',
    rolesClaim: 'roles',
    customerClaim: 'customer_id',
    cooldownMs: 0,
    ...options,
  });
}

async function refusal(verified: Promise<unknown>): Promise<readonly [FailureCode, string]> {
  const { code, message } = (await verified.then(
    () => ({ code: undefined, message: 'accepted' }),
    (error: unknown) => error,
  )) as DomainFailure;
  return [code, message];
}

describe('a token', () => {
  test('without a signature is refused', async () => {
    const [, payload] = (await token()).split('.');
    const header = Buffer.from(JSON.stringify({ alg: 'none', kid: 'one' })).toString('base64url');
    expect(await refusal(verifier().verify(`${header}.${payload}.`))).toEqual([
      'unauthenticated',
      expect.stringContaining('algorithm'),
    ]);
  });

  test('signed with the public key as if it were a shared one is refused', async () => {
    const shared = new TextEncoder().encode(await exportSPKI(one.publicKey));
    const payload = { iss: issuer.url, sub: 'ada', aud: 'evenkeel', exp: inAnHour(), roles: ['admin'] };
    const forged = await new SignJWT(payload).setProtectedHeader({ alg: 'HS256', kid: 'one' }).sign(shared);
    expect(await refusal(verifier().verify(forged))).toEqual(['unauthenticated', expect.stringContaining('algorithm')]);
  });

  test.each<[string, Record<string, unknown>, string]>([
    ['has expired', { exp: inAnHour() - 3610 }, 'expired'],
    ['never expires', { exp: undefined }, 'exp'],
    ['is not valid yet', { nbf: inAnHour() }, 'nbf'],
    ['is for others', { aud: ['shop', 'evenkeel-test'] }, 'aud'],
    ['is for nobody', { aud: undefined }, 'aud'],
    ['is of another issuer', { iss: 'https://elsewhere.example' }, 'iss'],
    ['is about nobody', { sub: undefined }, 'sub'],
    ['has a name that no record can hold', { sub: 'ada\0' }, 'sub'],
    ['has an empty customer', { customer_id: '', roles: ['admin'] }, 'customer_id'],
    ['has a customer that is no text', { customer_id: { id: 'c-1' }, roles: ['admin'] }, 'customer_id'],
    ['has a customer that is null', { customer_id: null, roles: ['admin'] }, 'customer_id'],
  ])('that %s is refused, and it is said why', async (_why, claims, word) => {
    expect(await refusal(verifier().verify(await token(claims)))).toEqual([
      'unauthenticated',
      expect.stringContaining(word),
    ]);
  });

  test('of a key that its issuer never published is refused, as is one whose key only says that it is it', async () => {
    const tokens = verifier();
    expect(await refusal(tokens.verify(await token({}, other)))).toEqual(['unauthenticated', expect.any(String)]);
    const posing = await token({}, { ...other, kid: 'one' });
    expect(await refusal(tokens.verify(posing))).toEqual(['unauthenticated', expect.stringContaining('signature')]);
  });

  test.each(['', 'a', 'a.b.c', 'Bearer', '..', `${'e'.repeat(5_000)}.x.y`])('%j is no token', async (text) => {
    expect(await refusal(verifier().verify(text))).toEqual(['unauthenticated', expect.any(String)]);
  });

  test.each([[123], [['ada']], [{ toString: 'ada' }], [true]])(
    'of the subject %j, which is no text, is refused',
    async (sub) => {
      const [code] = await refusal(verifier().verify(await token({ sub })));
      expect(code).toBe('unauthenticated');
    },
  );

  test('says who somebody is by issuer and subject, and grants the roles that there are', async () => {
    const roles = ['operator', 'read-only', 'root', '__proto__', 'toString', 7];
    expect(await verifier().verify(await token({ roles }))).toEqual({
      caller: `${issuer.url}#ada`,
      roles: ['operator', 'read-only'],
    });
  });

  test.each<[string, Record<string, unknown>]>([
    ['roles', { roles: 'openid operator shop' }],
    ['realm_access.roles', { realm_access: { roles: ['operator', 'shop'] } }],
    ['https://shop.example/roles', { 'https://shop.example/roles': ['operator', 'shop'] }],
  ])('names its roles in the claim %s', async (rolesClaim, claims) => {
    expect((await verifier({ rolesClaim }).verify(await token(claims))).roles).toEqual(['operator', 'shop']);
  });

  test.each([undefined, null, 7, {}, [['admin']]])('with the roles %j has none', async (roles) => {
    expect((await verifier().verify(await token({ roles }))).roles).toEqual([]);
  });

  test('with a customer is that customer’s', async () => {
    expect(await verifier().verify(await token({ customer_id: 'c-1' }))).toMatchObject({ customerId: 'c-1' });
  });

  test.each(['RS256', 'PS256', 'ES384', 'EdDSA'])('signed by %s is accepted', async (alg) => {
    const strong = await pair('strong', alg);
    await issuer.publish(strong);
    expect(await verifier().verify(await token({}, strong, alg))).toMatchObject({ caller: `${issuer.url}#ada` });
  });
});

describe('the keys of an issuer', () => {
  test('are asked for again where a token names a new one', async () => {
    const tokens = verifier();
    await tokens.verify(await token());
    await issuer.publish(other);
    expect(await tokens.verify(await token({}, other))).toMatchObject({ caller: `${issuer.url}#ada` });
  });

  test('are asked for once, however many unknown ones are named within the cooldown', async () => {
    const tokens = verifier({ cooldownMs: 60_000 });
    await tokens.verify(await token());
    for (const kid of ['a', 'b', 'c']) await refusal(tokens.verify(await token({}, { ...other, kid })));
    expect(issuer.asked).toEqual(['/.well-known/openid-configuration', '/keys']);
  });

  test('are asked for once by however many that come at the same time, there or away', async () => {
    const tokens = verifier({ cooldownMs: 60_000 });
    const many = await Promise.all(Array.from({ length: 20 }, async () => tokens.verify(await token())));
    expect(many).toHaveLength(20);
    expect(issuer.asked).toEqual(['/.well-known/openid-configuration', '/keys']);
    issuer.isAway = true;
    const others = verifier({ cooldownMs: 60_000 });
    await Promise.all(Array.from({ length: 20 }, async () => refusal(others.verify(await token()))));
    expect(issuer.asked).toHaveLength(3);
  });

  test('go on working while it is away, and a token of an unknown one can not be judged', async () => {
    const tokens = verifier();
    await tokens.verify(await token());
    issuer.isAway = true;
    expect(await tokens.verify(await token())).toMatchObject({ caller: `${issuer.url}#ada` });
    expect(await refusal(tokens.verify(await token({}, other)))).toEqual(['identity_unavailable', expect.any(String)]);
  });

  test('are found once it is back, and it is not asked by each token while it is away', async () => {
    issuer.isAway = true;
    const patient = verifier({ cooldownMs: 60_000 });
    for (let n = 0; n < 3; n += 1) {
      expect(await refusal(patient.verify(await token()))).toEqual(['identity_unavailable', expect.any(String)]);
    }
    expect(issuer.asked).toHaveLength(1);
    const tokens = verifier();
    await refusal(tokens.verify(await token()));
    issuer.isAway = false;
    expect(await tokens.verify(await token())).toMatchObject({ caller: `${issuer.url}#ada` });
  });

  test('are not taken from a document of another issuer', async () => {
    issuer.calledItself = 'https://elsewhere.example';
    const tokens = verifier({ cooldownMs: 60_000 });
    for (let n = 0; n < 3; n += 1) {
      expect(await refusal(tokens.verify(await token()))).toEqual(['identity_unavailable', expect.any(String)]);
    }
    expect(issuer.asked).toHaveLength(1);
  });

  test('are where the settings say, without a look at the document', async () => {
    await verifier({ jwksUrl: `${issuer.url}/keys` }).verify(await token());
    expect(issuer.asked).toEqual(['/keys']);
  });
});

describe('who authenticates', () => {
  const find = (key: string) => Promise.resolve(key === 'ek_mine' ? { caller: 'key:mine', roles: [] } : undefined);

  test('takes what begins with ek_ for a key, and never shows it to the issuer of tokens', async () => {
    const verify = () => Promise.reject(new Error('asked for a key'));
    const { authenticate } = createAuthenticator({ find }, { verify });
    expect(await authenticate('ek_mine')).toMatchObject({ caller: 'key:mine' });
    expect(await refusal(authenticate('ek_yours'))).toEqual(['unauthenticated', expect.any(String)]);
  });

  test('takes anything else for a token where there is an issuer, and for nothing where there is none', async () => {
    const verify = () => Promise.resolve({ caller: 'i#ada', roles: [] });
    expect(await createAuthenticator({ find }, { verify }).authenticate('a.b.c')).toMatchObject({ caller: 'i#ada' });
    const refused = await refusal(createAuthenticator({ find }).authenticate('a.b.c'));
    expect(refused).toEqual(['unauthenticated', expect.not.stringContaining('a.b.c')]);
  });

  test('asks the store once for many requests with the same key, a refused one too', async () => {
    let asked = 0;
    let now = 0;
    const counted = (key: string) => {
      asked += 1;
      return find(key);
    };
    const { authenticate } = createAuthenticator({ find: counted }, undefined, () => now);
    await Promise.all(Array.from({ length: 50 }, () => authenticate('ek_mine')));
    expect(asked).toBe(1);
    for (let n = 0; n < 50; n += 1) {
      expect(await refusal(authenticate('ek_revoked'))).toEqual(['unauthenticated', expect.any(String)]);
    }
    expect(asked).toBe(2);
    // However many are guessed, those that are in use stay known.
    for (let n = 0; n < 2_000; n += 1) await refusal(authenticate(`ek_guess${n}`));
    asked = 0;
    await authenticate('ek_mine');
    expect(asked).toBe(0);
    now = 6_000;
    await refusal(authenticate('ek_revoked'));
    expect(asked).toBe(1);
  });

  test('is not kept from asking again by a store that was away', async () => {
    let isAway = true;
    const passing = (key: string) =>
      isAway ? Promise.reject(new DomainFailure('store_unavailable', 'away')) : find(key);
    const { authenticate } = createAuthenticator({ find: passing });
    expect(await refusal(authenticate('ek_mine'))).toEqual(['store_unavailable', 'away']);
    isAway = false;
    expect(await authenticate('ek_mine')).toMatchObject({ caller: 'key:mine' });
  });

  test('asks the store again after a few seconds, so that a revoked key ends', async () => {
    let nowMs = 0;
    const found = [{ caller: 'key:mine', roles: [] }, undefined];
    const asking = { find: () => Promise.resolve(found.shift()) };
    const { authenticate } = createAuthenticator(asking, undefined, () => nowMs);
    await authenticate('ek_mine');
    nowMs = 4_000;
    await authenticate('ek_mine');
    nowMs = 6_000;
    expect(await refusal(authenticate('ek_mine'))).toEqual(['unauthenticated', expect.any(String)]);
  });

  test('needs to know whom the tokens are for', () => {
    expect(tokensOf(readConfig({}))).toBeUndefined();
    expect(() => tokensOf(readConfig({ EVENKEEL_OIDC_ISSUER: issuer.url }))).toThrow('EVENKEEL_OIDC_AUDIENCE');
    expect(
      tokensOf(readConfig({ EVENKEEL_OIDC_ISSUER: issuer.url, EVENKEEL_OIDC_AUDIENCE: 'evenkeel' })),
    ).toBeDefined();
  });
});
