import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { UsageError } from '../../src/commands/command.ts';
import { run as deadLetters } from '../../src/commands/dead-letters.ts';
import {
  type DeliveryApi,
  idOf,
  refused,
  shownConsumer,
  shownLetter,
  shownLetterDetails,
  shownRedrive,
  startDeliveryApi,
} from './delivery-api.ts';
import { runCommand, until } from './submit-api.ts';

let api: DeliveryApi;
let folder: string;
beforeEach(async () => {
  api = await startDeliveryApi();
  folder = mkdtempSync(join(tmpdir(), 'evenkeel-dead-letters-'));
});
afterEach(async () => {
  rmSync(folder, { recursive: true });
  await api.close();
});

const ran = (...words: string[]) => runCommand(deadLetters, [...words, '--url', api.url], { env: { USER: 'ada' } });
const queries = (route: string) => api.of(route).map(({ path }) => path.replace(/^[^?]*\??/, ''));

test.each([
  [['rertry'], "'rertry' means nothing here; it takes list, show, retry, edit, discard, redrive"],
  [['81'], "'81' means nothing here"],
  [['list', '81'], "'81' is one word too many"],
  [['--limit', '5', '--all'], 'exclude each other'],
  [['--group-by', 'order'], "takes one of cause, consumer, type, not 'order'"],
  [['--group-by', 'cause', '--limit', '5'], '--group-by shows all groups'],
  [['--since', 'yesterday'], "not 'yesterday'"],
  [['--order', '17'], "not '17'"],
  [['show'], 'ID is missing'],
  [['show', 'x'], "'x' is no dead letter's id"],
  [['retry'], 'say which: an ID, a filter, or --all'],
  [['retry', '--rate', '5'], 'say which: an ID, a filter, or --all'],
  [['retry', '--all', '--cause', 'timeout'], '--all takes no filter'],
  [['retry', '81', '--cause', 'timeout'], '--cause is for sending many again'],
  [['retry', '81', '--dry-run'], '--dry-run is for sending many again'],
  [['retry', '81', '82'], "'82' is one word too many"],
  [['retry', '--all', '--rate', '0'], "not '0'"],
  [['retry', '--all', '--dry-run', '--wait'], '--dry-run sends nothing'],
  [['edit', '81', '--reason', 'x'], '--data is missing'],
  [['edit', '81', '--data', 'x.json'], '--reason is missing'],
  [['edit', '81', '--data', '/nowhere/x.json', '--reason', 'x'], 'no such file'],
  [['discard', '81'], '--reason is missing'],
  [['discard', '81', 'x', '--reason', 'y'], "'x' is no dead letter's id"],
  [['redrive', '81'], "'81' is no redrive's id"],
  [['redrive', idOf(1), 'halt'], "'halt' is none of pause, resume, stop"],
  [['redrive', '--wait'], '--wait needs the ID'],
])('refuses %j', async (words, part) => {
  const failure = runCommand(deadLetters, words);
  await expect(failure).rejects.toThrow(UsageError);
  await expect(failure).rejects.toThrow(part);
});

describe('evenkeel dead-letters', () => {
  test('asks for what the words say, and follows the cursor no further than the limit', async () => {
    api.answers('GET /v1/consumers', { data: [shownConsumer(1, 'warehouse')], nextCursor: null });
    api.on('GET /v1/dead-letters', ({ path }) => ({
      status: 200,
      body: { data: [shownLetter(path.includes('cursor') ? 82 : 81)], nextCursor: 'next' },
    }));
    const filter = ['--consumer', 'warehouse', '--cause', 'http_422', '--type', '*dispatched*', '--order', idOf(9)];
    const { stdout } = await ran(...filter, '--since', '2026-03-01T12:00:00+01:00', '--limit', '2');
    const asked = `consumer=${idOf(1)}&subject=${idOf(9)}&cause=http_422&type=*dispatched*&since=2026-03-01T11%3A00%3A00.000Z`;
    expect(queries('GET /v1/dead-letters')).toEqual([`${asked}&limit=2`, `${asked}&limit=1&cursor=next`]);
    const [head, first] = stdout.split('\n');
    expect(head).toMatch(/^ID +ORDER +TYPE +CONSUMER +CAUSE +TRIES +DEAD FOR +LAST ERROR$/);
    expect(first).toMatch(
      new RegExp(`^81 +${idOf(981)} +shipment dispatched +warehouse +http_422 +10 +.* +answered 422$`),
    );
    expect(stdout).toContain('there are more: --limit N, --all or --group-by cause\n');
  });

  test('takes how long ago for a moment', async () => {
    api.answers('GET /v1/dead-letters', { data: [], nextCursor: null });
    const before = Date.now();
    expect((await ran('--until', '2h')).stdout).toBe('no such dead letters\n');
    const moment =
      Date.parse(new URLSearchParams(queries('GET /v1/dead-letters')[0]).get('until') ?? '') + 2 * 3_600_000;
    expect(moment).toBeGreaterThanOrEqual(before);
    expect(moment).toBeLessThanOrEqual(Date.now());
  });

  test('shows a group by its consumer with a name, the largest first', async () => {
    const group = { oldest: '2026-03-01T10:00:00.000Z', newest: '2026-03-01T12:00:00.000Z', example: 'an\u0007swered' };
    api.answers('GET /v1/consumers', { data: [shownConsumer(1, 'warehouse')], nextCursor: null });
    api.answers('GET /v1/dead-letters', {
      groupBy: 'consumer',
      groups: [
        { ...group, key: idOf(2), count: 3 },
        { ...group, key: idOf(1), count: 40 },
      ],
    });
    const { stdout } = await ran('--group-by', 'consumer', '--cause', 'timeout');
    expect(queries('GET /v1/dead-letters')).toEqual(['cause=timeout&groupBy=consumer']);
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(/^NAME +CONSUMER +COUNT +OLDEST +NEWEST +EXAMPLE$/),
      expect.stringMatching(new RegExp(`^warehouse +${idOf(1)} +40 .* ago +.* ago +an swered$`)),
      expect.stringMatching(new RegExp(`^deleted +${idOf(2)} +3 `)),
      '',
    ]);
  });

  test('show tells attempts, the last answer, what people did, and what can be done', async () => {
    const actions = [{ at: '2026-03-01T13:00:00.000Z', action: 'retry', actor: 'Ada', reason: 'fixed' }];
    api.answers('GET /v1/dead-letters/81', shownLetterDetails(81, { actions }));
    const { stdout } = await ran('show', '81');
    expect(stdout).toMatch(/^Cause +http_422$/m);
    expect(stdout).toContain('"fulfillmentId": "f-1"');
    expect(stdout).toMatch(/31 ms {2}http_422 {2}answered 422$/m);
    expect(stdout).toContain('\nThe last answer\n  no such [31m parcel\n');
    expect(stdout).toMatch(/ {2}retry {2}Ada {2}fixed$/m);
    expect(stdout).toContain('evenkeel dead-letters edit 81 --data FILE --reason WHY');
  });

  test('show offers nothing but to give up what was meant for a deleted consumer, and nothing once it is settled', async () => {
    api.answers('GET /v1/dead-letters/81', shownLetterDetails(81, { cause: 'consumer_deleted' }));
    const { stdout } = await ran('show', '81');
    expect(stdout).toContain('dead-letters discard 81');
    expect(stdout).not.toContain('dead-letters retry');
    api.answers('GET /v1/dead-letters/81', shownLetterDetails(81, { status: 'delivered' }));
    expect((await ran('show', '81')).stdout).not.toContain('You can');
  });
});

describe('one dead letter', () => {
  const lostOnce = (route: string, status: number, body?: unknown) => {
    api.on(route, () => (api.of(route).length === 1 ? 'lose' : { status, body }));
  };
  const conflict = refused(409, 'conflict', 'it is no dead letter any more');

  test('is sent again, with who and why', async () => {
    api.answers('POST /v1/dead-letters/81/retry', { id: '81', eventId: idOf(1) }, 202);
    expect(await ran('retry', '81', '--reason', 'fixed')).toMatchObject({ code: 0 });
    expect(api.of('POST /v1/dead-letters/81/retry')[0]?.body).toEqual({ actor: 'ada', reason: 'fixed' });
  });

  test('that was sent again is told from one that somebody else was faster with, after a lost answer', async () => {
    lostOnce('POST /v1/dead-letters/81/discard', 409, conflict.body);
    const action = { at: '2026-03-01T13:00:00.000Z', action: 'discard', actor: 'ada', reason: 'a test' };
    api.answers('GET /v1/dead-letters/81', shownLetterDetails(81, { status: 'discarded', actions: [action] }));
    const { stdout } = await ran('discard', '81', '--reason', 'a test');
    expect(stdout).toBe('dead letter 81 is given up\n');
  });

  test.each([
    ['another action', { action: 'retry' }],
    ['another person', { actor: 'Eve' }],
    ['another reason', { reason: 'no idea' }],
  ])('that came to %s meanwhile is a failure', async (_, other) => {
    lostOnce('POST /v1/dead-letters/81/discard', 409, conflict.body);
    const action = { at: '2026-03-01T13:00:00.000Z', action: 'discard', actor: 'ada', reason: 'a test', ...other };
    api.answers('GET /v1/dead-letters/81', shownLetterDetails(81, { status: 'discarded', actions: [action] }));
    await expect(ran('discard', '81', '--reason', 'a test')).rejects.toThrow('it is no dead letter any more');
  });

  test('of several to be discarded that cannot be ends it, and those before it are named', async () => {
    api.answers('POST /v1/dead-letters/81/discard', undefined, 204);
    api.on('POST /v1/dead-letters/82/discard', () => conflict);
    await expect(ran('discard', '81', '82', '83', '--reason', 'x')).rejects.toThrow('it is no dead letter any more');
    expect(api.asked).toHaveLength(2);
  });

  test('is corrected with the data of a file', async () => {
    const file = join(folder, 'data.json');
    writeFileSync(file, '{"totalMinor": 1530}');
    api.answers('POST /v1/dead-letters/81/edit', { replaces: idOf(1), eventId: idOf(2), deliveryId: '99' }, 202);
    const { stdout } = await ran('edit', '81', '--data', file, '--reason', 'pounds', '--actor', 'Eve');
    expect(stdout).toBe(`dead letter 81 is sent corrected as event ${idOf(2)}\n`);
    expect(api.of('POST /v1/dead-letters/81/edit')[0]?.body).toEqual({
      data: { totalMinor: 1530 },
      actor: 'Eve',
      reason: 'pounds',
    });
    for (const text of ['{', '[1]']) {
      writeFileSync(file, text);
      await expect(ran('edit', '81', '--data', file, '--reason', 'x')).rejects.toThrow(UsageError);
    }
    expect(api.asked).toHaveLength(1);
  });
});

describe('many dead letters', () => {
  const group = { oldest: '2026-03-01T10:00:00.000Z', newest: '2026-03-01T12:00:00.000Z', example: null };

  test('--dry-run says what would be sent, and sends nothing', async () => {
    api.answers('GET /v1/consumers', { data: [shownConsumer(1, 'warehouse')], nextCursor: null });
    api.answers('POST /v1/dead-letters/retry', {
      count: 12,
      byCause: [{ ...group, key: 'http_422', count: 12 }],
      byConsumer: [{ ...group, key: idOf(1), count: 12 }],
      byType: [{ ...group, key: 'evenkeel.order.confirmed.v1', count: 12 }],
    });
    const { stdout } = await ran('retry', '--cause', 'http_422', '--rate', '0.5', '--dry-run');
    expect(api.of('POST /v1/dead-letters/retry')).toEqual([
      expect.objectContaining({
        key: undefined,
        body: { filter: { cause: 'http_422' }, ratePerSecond: 0.5, actor: 'ada', dryRun: true },
      }),
    ]);
    expect(stdout).toMatch(/^12 would be sent again; nothing was\n\nCAUSE /);
    expect(stdout).toMatch(new RegExp(`^warehouse +${idOf(1)} +12 `, 'm'));
  });

  test('are one redrive though the first answer is lost, and it says how to steer it', async () => {
    api.on('POST /v1/dead-letters/retry', () =>
      api.of('POST /v1/dead-letters/retry').length === 1 ? 'lose' : { status: 202, body: shownRedrive() },
    );
    const { stdout, code } = await ran('retry', '--all');
    expect(code).toBe(0);
    const [first, second] = api.of('POST /v1/dead-letters/retry');
    expect(first?.key).toMatch(/^[0-9a-f-]{36}$/);
    expect(second).toEqual(first);
    expect(first?.body).toEqual({ all: true, actor: 'ada' });
    expect(stdout).toMatch(/^Sent +0 of 10, 5 a second at most$/m);
    expect(stdout).toContain(`evenkeel dead-letters redrive ${idOf(77)} --wait`);
  });

  const end = { finishedAt: '2026-03-01T12:05:00.000Z', sent: 10 };
  test.each([
    ['all arrived', { ...end, state: 'completed', delivered: 10 }, 0],
    ['some died again', { ...end, state: 'completed', delivered: 9, deadAgain: 1 }, 1],
    ['the first few failed', { ...end, state: 'failed', sent: 3, deadAgain: 3 }, 1],
    ['a person stopped it', { ...end, state: 'stopped', sent: 4, delivered: 4 }, 1],
  ])('--wait: %s', async (_, last, expected) => {
    api.answers('POST /v1/dead-letters/retry', shownRedrive(), 202);
    const seen = [shownRedrive({ sent: 3 }), shownRedrive({ ...last, delivered: 0, deadAgain: 0 })];
    api.on(`GET /v1/redrives/${idOf(77)}`, () => ({ status: 200, body: seen.shift() ?? shownRedrive(last) }));
    const { code, stdout, stderr } = await ran('retry', '--cause', 'http_422', '--wait', '--json');
    expect(code).toBe(expected);
    expect(JSON.parse(stdout)).toEqual(shownRedrive(last));
    expect(stderr).toContain('sending again');
  });

  test('--wait ends with Ctrl-C, and only the waiting does', async () => {
    api.answers('POST /v1/dead-letters/retry', shownRedrive(), 202);
    api.answers(`GET /v1/redrives/${idOf(77)}`, shownRedrive({ state: 'running', sent: 4, delivered: 2 }));
    const stop = new AbortController();
    const waiting = runCommand(deadLetters, ['retry', '--all', '--wait', '--url', api.url], { signal: stop.signal });
    await until(() => api.of(`GET /v1/redrives/${idOf(77)}`).length > 0);
    stop.abort();
    const { code, stderr } = await waiting;
    expect(code).toBe(1);
    expect(stderr).toContain('the redrive goes on');
  });
});

describe('evenkeel dead-letters redrive', () => {
  test('lists the latest', async () => {
    api.answers('GET /v1/redrives', { data: [shownRedrive({ state: 'running', sent: 4 })], nextCursor: null });
    const { stdout } = await ran('redrive');
    expect(stdout).toMatch(new RegExp(`^${idOf(77)} +running +10 +4 +0 +0 .* ago +Ada$`, 'm'));
    expect(queries('GET /v1/redrives')).toEqual(['limit=20']);
    api.answers('GET /v1/redrives', { data: [], nextCursor: null });
    expect((await ran('redrive')).stdout).toBe('no redrives\n');
    expect((await ran('redrive', '--json')).stdout).toBe('[]\n');
  });

  test('steers one, and says what the API says of one at its end', async () => {
    api.answers(`POST /v1/redrives/${idOf(77)}/pause`, shownRedrive({ state: 'paused', sent: 4, delivered: 3 }));
    const { stdout } = await ran('redrive', idOf(77), 'pause', '--reason', 'too fast');
    expect(stdout).toMatch(/^State +paused$/m);
    expect(stdout).toMatch(/^Of these +3 arrived, 0 dead again, 1 on their way$/m);
    expect(api.of(`POST /v1/redrives/${idOf(77)}/pause`)[0]?.body).toEqual({ actor: 'ada', reason: 'too fast' });
    api.on(`POST /v1/redrives/${idOf(77)}/stop`, () => refused(409, 'conflict', 'it is at its end'));
    await expect(ran('redrive', idOf(77), 'stop')).rejects.toThrow('it is at its end');
  });
});
