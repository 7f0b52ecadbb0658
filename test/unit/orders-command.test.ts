import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { UsageError } from '../../src/commands/command.ts';
import { run as order } from '../../src/commands/order.ts';
import { run as orders } from '../../src/commands/orders.ts';
import { type FakeApi, runCommand, shownOrder, startFakeApi, until } from './submit-api.ts';

let api: FakeApi;
beforeEach(async () => {
  api = await startFakeApi();
});
afterEach(() => api.close());

const idOf = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const attention = {
  id: "book:it's:1",
  step: 'book',
  fulfillmentId: 'f-1',
  reason: 'address not served',
  allowed: ['retry', 'retry_corrected', 'cancel'],
  since: '2026-03-01T10:00:05.000Z',
};

describe('evenkeel orders', () => {
  test.each([
    [['--status', 'lost'], "not 'lost'"],
    [['--limit', '0'], "'0'"],
    [['--limit', '5', '--all'], 'exclude each other'],
    [[idOf(1)], "'evenkeel order ID'"],
    [['--colour'], '--colour'],
  ])('refuses %j', async (words, part) => {
    const failure = runCommand(orders, words);
    await expect(failure).rejects.toThrow(UsageError);
    await expect(failure).rejects.toThrow(part);
  });

  test('says what it was answered by something that is not the API', async () => {
    api.trouble = () => ({ status: 404, body: '<html>not here' });
    await expect(runCommand(orders, ['--url', api.url])).rejects.toThrow("not an answer of Evenkeel's API");
  });

  test('asks for what the words say, and follows the cursor no further than the limit', async () => {
    const queries: string[] = [];
    api.list = (query) => {
      queries.push(query.toString());
      const from = Number(query.get('cursor') ?? 0);
      const size = Number(query.get('limit'));
      const data = Array.from({ length: size }, (_, n) => shownOrder(idOf(from + n)));
      return { data, nextCursor: String(from + size) };
    };
    const words = ['--status', 'received', '--customer', 'a b', '--attention', '--limit', '150'];
    const { code, stdout } = await runCommand(orders, [...words, '--url', api.url]);
    expect(code).toBe(0);
    expect(queries).toEqual([
      'status=received&customerId=a+b&attention=true&limit=100',
      'status=received&customerId=a+b&attention=true&limit=50&cursor=100',
    ]);
    expect(stdout.match(/00000000-/g)).toHaveLength(150);
    expect(stdout).toContain('there are more: --limit N or --all');
  });

  test('--all goes on to the last page', async () => {
    api.list = (query) =>
      query.has('cursor')
        ? { data: [shownOrder(idOf(2))], nextCursor: null }
        : { data: [shownOrder(idOf(1))], nextCursor: 'next' };
    const { stdout } = await runCommand(orders, ['--all', '--json', '--url', api.url]);
    expect((JSON.parse(stdout) as { id: string }[]).map(({ id }) => id)).toEqual([idOf(1), idOf(2)]);
  });

  test('shows a table with readable money, and no control characters of others', async () => {
    const parked = { ...shownOrder(idOf(1)), status: 'confirmed', attention, customerId: 'a\u001b[31mb' };
    api.list = () => ({ data: [parked], nextCursor: null });
    const { stdout } = await runCommand(orders, ['--url', api.url]);
    const [head, line] = stdout.split('\n');
    expect(head).toMatch(/^ID +STATUS +ATTENTION +TOTAL +CUSTOMER +AGE$/);
    expect(line).toMatch(new RegExp(`^${idOf(1)}  confirmed  at book +12\\.50 GBP  a \\[31mb +\\d+ d \\d+ h$`));
  });

  test('says so where there is none, in words and as JSON', async () => {
    expect((await runCommand(orders, ['--url', api.url])).stdout).toBe('no such orders\n');
    expect((await runCommand(orders, ['--json', '--url', api.url])).stdout).toBe('[]\n');
  });
});

describe('evenkeel order', () => {
  async function submitted() {
    api.items.set('MUG', { description: 'Mug', priceMinor: 1250, currency: 'GBP' });
    const sent = await fetch(`${api.url}/v1/orders`, {
      method: 'POST',
      headers: { 'idempotency-key': 'k' },
      body: JSON.stringify({ items: [{ sku: 'MUG', quantity: 1 }] }),
    });
    return ((await sent.json()) as { id: string }).id;
  }

  test('refuses what is no id, and says what the API says of one that it does not know', async () => {
    await expect(runCommand(order, ['17'])).rejects.toThrow(UsageError);
    await expect(runCommand(order, [])).rejects.toThrow('ID is missing');
    await expect(runCommand(order, [idOf(99), '--url', api.url])).rejects.toThrow(`there is no order ${idOf(99)}`);
  });

  test('shows what a person can decide, with a command for each that a shell takes as it stands', async () => {
    const id = await submitted();
    api.state = () => ({ status: 'confirmed', attention, attentions: [attention] });
    const { stdout, code } = await runCommand(order, [id, '--url', api.url]);
    expect(code).toBe(0);
    expect(stdout).toContain('at book of f-1: address not served');
    const commands = stdout.split('\n').filter((line) => line.includes('curl'));
    expect(commands).toHaveLength(3);
    expect(commands[0]).toContain(`curl -X POST ${api.url}/v1/orders/${id}/decisions`);
    const quoted = commands.map((line) => / -d '(.*)'$/.exec(line)?.[1]?.replaceAll(String.raw`'\''`, "'") ?? '');
    expect(quoted.map((body) => JSON.parse(body) as unknown)).toEqual([
      { attentionId: attention.id, action: 'retry', reason: 'WHY', actor: 'WHO' },
      expect.objectContaining({
        action: 'retry_corrected',
        correction: { shippingAddress: expect.objectContaining({ country: 'GB' }) },
      }),
      expect.objectContaining({ action: 'cancel' }),
    ]);
  });

  test('shows everything that waits for a person, not the first alone', async () => {
    const id = await submitted();
    const other = { ...attention, id: 'a0-2', step: 'capture', fulfillmentId: 'f-2', reason: 'expired' };
    api.state = () => ({ status: 'fulfilling', attention, attentions: [attention, other] });
    const { stdout } = await runCommand(order, [id, '--url', api.url]);
    expect(stdout).toContain('at book of f-1: address not served');
    expect(stdout).toContain('at capture of f-2: expired');
  });

  test('shows the first 20 items and how many more, and the timeline with the time since its creation', async () => {
    const id = await submitted();
    const item = { sku: 'MUG', description: 'Mug', quantity: 2, unitPriceMinor: 1250, totalMinor: 2500 };
    api.state = () => ({
      status: 'completed',
      confirmedAt: '2026-03-01T10:00:00.250Z',
      finishedAt: '2026-03-01T10:02:05.000Z',
      items: Array.from({ length: 23 }, (_, n) => ({ ...item, sku: `MUG-${n}` })),
      payment: { status: 'captured', authorizedMinor: 1250, capturedMinor: 1250, refundedMinor: 0 },
      timeline: [
        {
          at: '2026-03-01T10:00:00.250Z',
          type: 'evenkeel.order.confirmed.v1',
          detail: { totalMinor: 1250, currency: 'GBP' },
        },
        {
          at: '2026-03-01T10:02:05.000Z',
          type: 'evenkeel.order.completed.v1',
          detail: { fulfillmentId: `${id}-1`, allowed: ['retry', 'skip'], lines: 2 },
        },
      ],
    });
    const { stdout } = await runCommand(order, [id, '--url', api.url]);
    expect(stdout).toContain('MUG-19');
    expect(stdout).not.toContain('MUG-20');
    expect(stdout).toContain('and 3 more');
    expect(stdout).toContain('12.50 GBP  25.00 GBP');
    expect(stdout).toContain('captured, 12.50 GBP authorized, 12.50 GBP captured');
    expect(stdout).toMatch(/\+0\.250 s +confirmed +total 12\.50 GBP/);
    expect(stdout).toMatch(/\+2 min 5 s +completed +fulfillmentId …-1, allowed retry\/skip, lines 2\n/);
  });

  test('--json prints the order as the API gives it', async () => {
    const id = await submitted();
    const { stdout } = await runCommand(order, [id, '--json', '--url', api.url]);
    expect(JSON.parse(stdout)).toEqual(shownOrder(id));
  });

  test('--watch goes on with what is new until the end', async () => {
    const id = await submitted();
    const timeline = ['created', 'confirmed', 'completed'].map((name, n) => ({
      at: `2026-03-01T10:00:0${n}.000Z`,
      type: `evenkeel.order.${name}.v1`,
      detail: {},
    }));
    const states = [
      { version: 1, timeline: timeline.slice(0, 1) },
      { version: 1, timeline: timeline.slice(0, 1) },
      { version: 2, timeline: timeline.slice(0, 2), status: 'confirmed' },
      { version: 3, timeline, status: 'completed' },
    ];
    api.state = () => states.shift() ?? {};
    const { stdout, code } = await runCommand(order, [id, '--watch', '--url', api.url]);
    expect(code).toBe(0);
    expect(stdout.match(/created\n/g)).toHaveLength(1);
    expect(stdout.match(/ confirmed\n/g)).toHaveLength(2);
    expect(stdout.trimEnd().split('\n').at(-1)).toBe('  now completed');
  });

  test('--watch ends with Ctrl-C', async () => {
    const id = await submitted();
    const stop = new AbortController();
    const running = runCommand(order, [id, '--watch', '--json', '--url', api.url], { signal: stop.signal });
    await until(() => api.log.filter((line) => line.startsWith('GET')).length >= 2);
    stop.abort();
    expect(await running).toMatchObject({ code: 0, stdout: expect.stringContaining(id) });
  });
});
