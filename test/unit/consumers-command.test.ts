import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { UsageError } from '../../src/commands/command.ts';
import { run as consumers } from '../../src/commands/consumers.ts';
import { type DeliveryApi, idOf, refused, shownConsumer, shownDetails, startDeliveryApi } from './delivery-api.ts';
import { runCommand } from './submit-api.ts';

let api: DeliveryApi;
beforeEach(async () => {
  api = await startDeliveryApi();
});
afterEach(() => api.close());

const ran = (...words: string[]) => runCommand(consumers, [...words, '--url', api.url], { env: { USER: 'ada' } });
const listed = (...names: string[]) =>
  api.answers('GET /v1/consumers', { data: names.map((name, n) => shownConsumer(n + 1, name)), nextCursor: null });

test.each([
  [['throw'], "'throw' means nothing here; it takes list, show, ping"],
  [['constructor'], "'constructor' means nothing here"],
  [['list', 'all'], "'all' is one word too many"],
  [['pause'], 'CONSUMER is missing'],
  [['ping', 'a', 'b'], "'b' is one word too many"],
  [['add', '--url', 'https://x.example', '--types', '*'], '--name is missing'],
  [['add', '--name', 'x', '--url', 'https://x.example'], '--types is missing'],
  [['add', '--name', 'x', '--types', '*'], 'say either --url'],
  [['add', '--name', 'x', '--types', '*', '--url', 'https://x.example', '--exchange', 'e'], 'say either --url'],
  [['add', '--name', 'x', '--types', '*', '--url', 'https://x.example', '--routing-key', 'e'], 'goes with --exchange'],
  [['add', '--name', 'x', '--types', '*', '--url', 'https://x.example', '--mail'], 'say either --url'],
  [['add', '--name', 'x', '--types', '*', '--url', 'https://x.example', '--from', 'a@b.example'], 'goes with --mail'],
  [['add', '--name', 'x', '--types', '*', '--url', 'https://x.example', '--filter', '[1]'], '--filter takes a JSON'],
  [['add', '--name', 'x', '--types', '*', '--url', 'https://x.example', '--max-in-flight', '0'], "'0'"],
])('refuses %j', async (words, part) => {
  const failure = runCommand(consumers, words);
  await expect(failure).rejects.toThrow(UsageError);
  await expect(failure).rejects.toThrow(part);
});

describe('a consumer', () => {
  test('can be called by its name, but not by one that none or several have', async () => {
    listed('shop', 'twin', 'twin');
    api.answers(`POST /v1/consumers/${idOf(1)}/pause`, { ...shownConsumer(1, 'shop'), state: 'paused' });
    expect((await ran('pause', 'shop', '--reason', 'upgrade')).stdout).toBe('shop is paused\n');
    expect(api.of(`POST /v1/consumers/${idOf(1)}/pause`)[0]?.body).toEqual({ actor: 'ada', reason: 'upgrade' });
    await expect(ran('pause', 'shed')).rejects.toThrow("there is no consumer 'shed'");
    await expect(ran('pause', 'twin')).rejects.toThrow(`${idOf(2)}, ${idOf(3)}`);
    expect(api.of(`POST /v1/consumers/${idOf(2)}/pause`)).toEqual([]);
  });

  test('that is disabled is not resumed, and the command says what the API says to do', async () => {
    api.on(`POST /v1/consumers/${idOf(1)}/resume`, () => refused(409, 'conflict', 'it is disabled (http_410)'));
    await expect(ran('resume', idOf(1))).rejects.toThrow('it is disabled (http_410)');
  });

  test('is enabled by a change of that field', async () => {
    api.answers(`PATCH /v1/consumers/${idOf(1)}`, shownConsumer(1, 'shop'));
    expect((await ran('enable', idOf(1), '--actor', 'Eve')).stdout).toBe('shop is enabled\n');
    expect(api.of(`PATCH /v1/consumers/${idOf(1)}`)[0]?.body).toEqual({ enabled: true, actor: 'Eve' });
  });
});

describe('evenkeel consumers', () => {
  test('lists state, trouble, backlog, lag and dead letters of each, and leaves out one deleted meanwhile', async () => {
    listed('shop', 'gone', 'ware\u001b[2Jhouse');
    const trouble = { since: '2026-03-01T12:00:00.000Z', reason: 'connection_refused', epoch: 3 };
    const health = { mode: 'probing', trouble, backlog: 41, lagSeconds: 185, deadLetters: 7 };
    api.answers(`GET /v1/consumers/${idOf(1)}`, shownDetails(1, 'shop'));
    api.on(`GET /v1/consumers/${idOf(2)}`, () => refused(404, 'not_found', 'it is gone'));
    api.answers(`GET /v1/consumers/${idOf(3)}`, shownDetails(3, 'ware\u001b[2Jhouse', health));
    const { stdout, code } = await ran();
    expect(code).toBe(0);
    const [head, first, second, ...rest] = stdout.split('\n');
    expect(head).toMatch(/^ID +NAME +STATE +MODE +BACKLOG +LAG +DEAD LETTERS +WHY$/);
    expect(first).toMatch(new RegExp(`^${idOf(1)} +shop +enabled +normal +0 +0$`));
    expect(second).toMatch(
      new RegExp(`^${idOf(3)} +ware \\[2Jhouse +enabled +probing +41 +3 min 5 s +7 +connection_refused$`),
    );
    expect(rest).toEqual(['']);
    expect((JSON.parse((await ran('list', '--json')).stdout) as { id: string }[]).map(({ id }) => id)).toEqual([
      idOf(1),
      idOf(3),
    ]);
  });

  test('fails where the health of one cannot be had for another reason', async () => {
    listed('shop');
    api.on(`GET /v1/consumers/${idOf(1)}`, () => refused(500, 'internal', 'something broke'));
    await expect(ran()).rejects.toThrow('something broke');
  });

  test('says so where there is none', async () => {
    listed();
    expect((await ran()).stdout).toContain('no consumers');
    expect((await ran('--json')).stdout).toBe('[]\n');
  });

  test('show tells the trouble and the last failures', async () => {
    const failure = { at: '2026-03-01T12:00:00.000Z', eventId: idOf(5), cause: 'timeout', status: null, error: 'late' };
    api.answers(`GET /v1/consumers/${idOf(1)}`, {
      ...shownDetails(1, 'shop', {
        backlog: 2,
        lagSeconds: 60,
        lastHour: { attempts: 4, successes: 1, successRate: 0.25 },
        lastFailures: [failure],
      }),
      state: 'disabled',
      stateReason: 'http_410',
    });
    const { stdout } = await ran('show', idOf(1));
    expect(stdout).toMatch(/^State +disabled for .*: http_410$/m);
    expect(stdout).toMatch(/^Waiting +2, the oldest for 1 min 0 s$/m);
    expect(stdout).toMatch(/^Last hour +4 attempts, 25\.0 % of them successes$/m);
    expect(stdout).toMatch(new RegExp(`Last failures\n.* ago +timeout +${idOf(5)} +late\n$`));
  });

  test('ping answers 1 where the consumer did not take it, with what it said', async () => {
    const result = { eventId: idOf(9), cause: null, status: 204, answer: null, error: null, durationMs: 12 };
    api.answers(`POST /v1/consumers/${idOf(1)}/ping`, { ...result, outcome: 'delivered' });
    expect(await ran('ping', idOf(1))).toMatchObject({ code: 0, stdout: 'delivered in 12 ms, answered 204\n' });
    const failed = {
      ...result,
      outcome: 'failed',
      cause: 'http_401',
      status: 401,
      error: 'answered 401',
      answer: 'no',
    };
    api.answers(`POST /v1/consumers/${idOf(1)}/ping`, failed);
    const { code, stdout } = await ran('ping', idOf(1));
    expect(code).toBe(1);
    expect(stdout).toBe('failed after 12 ms, http_401: answered 401\nit said: no\n');
  });

  test('delete says what becomes of that which waited, and knows its own deed after a lost answer', async () => {
    let tries = 0;
    api.answers(`GET /v1/consumers/${idOf(1)}`, shownDetails(1, 'shop', { backlog: 12 }));
    api.on(`DELETE /v1/consumers/${idOf(1)}`, () => {
      tries += 1;
      return tries === 1 ? 'lose' : refused(404, 'not_found', 'there is no such consumer');
    });
    const { code, stdout } = await ran('delete', idOf(1), '--reason', 'moved');
    expect(code).toBe(0);
    expect(stdout).toContain('shop is deleted; the 12 deliveries that waited become dead letters');
    expect(api.of(`DELETE /v1/consumers/${idOf(1)}`).map(({ path }) => path.replace(/.*\?/, ''))).toEqual([
      'actor=ada&reason=moved',
      'actor=ada&reason=moved',
    ]);
  });

  test('delete refuses one that there is not', async () => {
    api.on(`GET /v1/consumers/${idOf(1)}`, () => refused(404, 'not_found', 'there is no such consumer'));
    await expect(ran('delete', idOf(1))).rejects.toThrow('there is no such consumer');
  });
});

describe('evenkeel consumers add', () => {
  const add = (...words: string[]) =>
    runCommand(consumers, ['add', '--name', 'shop', '--types', 'a.*, b.*', '--types', 'c', '--api', api.url, ...words]);

  test('prints the secret, and makes one consumer though the first answer is lost', async () => {
    let tries = 0;
    api.on('POST /v1/consumers', () => {
      tries += 1;
      return tries === 1 ? 'lose' : { status: 201, body: { ...shownConsumer(1, 'shop'), secret: 'whsec_abc' } };
    });
    const { stdout } = await add('--url', 'https://shop.example/in', '--filter', '{"data":{"currency":"GBP"}}');
    expect(stdout).toContain(`id      ${idOf(1)}\nsecret  whsec_abc\n`);
    const [first, second] = api.of('POST /v1/consumers');
    expect(first?.key).toMatch(/^[0-9a-f-]{36}$/);
    expect(second?.key).toBe(first?.key);
    expect(second?.body).toEqual({
      name: 'shop',
      url: 'https://shop.example/in',
      types: ['a.*', 'b.*', 'c'],
      filter: { data: { currency: 'GBP' } },
    });
  });

  test('takes an exchange in place of a URL, and can have everything held', async () => {
    api.answers('POST /v1/consumers', { ...shownConsumer(1, 'shop'), secret: 'whsec_abc' }, 201);
    const { stdout } = await add('--exchange', 'out', '--disabled', '--max-in-flight', '2', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ secret: 'whsec_abc' });
    expect(api.of('POST /v1/consumers')[0]?.body).toEqual({
      name: 'shop',
      amqp: { exchange: 'out' },
      types: ['a.*', 'b.*', 'c'],
      maxInFlight: 2,
      enabled: false,
    });
  });

  test('takes the customers in place of a URL, and shows no secret, since mails are not signed', async () => {
    const mail = { from: 'Shop <shop@b.example>' };
    api.answers('POST /v1/consumers', { ...shownConsumer(1, 'shop'), url: undefined, mail, secret: 'whsec_x' });
    const { stdout } = await add('--mail', '--from', mail.from);
    expect(api.of('POST /v1/consumers')[0]?.body).toMatchObject({ mail });
    expect(stdout).toContain(`consumers ping ${idOf(1)}`);
    expect(stdout).not.toContain('secret');
  });

  test('is shown with whom it writes to', async () => {
    const { url: _url, ...details } = shownDetails(1, 'shop');
    api.answers(`GET /v1/consumers/${idOf(1)}`, { ...details, mail: { from: null } });
    expect((await ran('show', idOf(1))).stdout).toContain('mail to customers\n');
  });
});
