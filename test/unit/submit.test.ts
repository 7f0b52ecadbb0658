import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { UsageError } from '../../src/commands/command.ts';
import { run } from '../../src/commands/submit.ts';
import { type FakeApi, runCommand, startFakeApi, until } from './submit-api.ts';

const header = 'InvoiceNo,StockCode,Description,Quantity,UnitPrice,CustomerID,Country';

let api: FakeApi;
let folder: string;
beforeEach(async () => {
  api = await startFakeApi();
  folder = await mkdtemp(join(tmpdir(), 'evenkeel-submit-'));
});
afterEach(async () => {
  await api.close();
  await rm(folder, { recursive: true });
});

const reportPath = () => join(folder, 'report.csv');
const report = async () => (await readFile(reportPath(), 'utf8')).split('\n').slice(1, -1);

async function file(name: string, ...lines: readonly string[]): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, `${lines.join('\n')}\n`);
  return path;
}
/** A good line of a CSV file. */
const good = (orderNumber: string, sku = 'MUG', quantity = 1, price = '12.50') =>
  `${orderNumber},${sku},A ${sku.toLowerCase()},${quantity},${price},17850,United Kingdom`;
const csv = (...lines: readonly string[]) => file('orders.csv', header, ...lines);

function submit(path: string, words: readonly string[] = [], io: Parameters<typeof runCommand>[2] = {}) {
  return runCommand(run, [path, '--url', api.url, '--report', reportPath(), ...words], io);
}
async function submitJson(path: string, words: readonly string[] = [], io: Parameters<typeof runCommand>[2] = {}) {
  const ran = await submit(path, ['--json', ...words], io);
  return { ...ran, summary: JSON.parse(ran.stdout) as Record<string, unknown> };
}

const ndjsonLine = (orderNumber: string, sku = 'MUG') => JSON.stringify({ orderNumber, items: [{ sku, quantity: 1 }] });
function stockMugs(): void {
  api.items.set('MUG', { description: 'Mug', priceMinor: 1250, currency: 'GBP' });
}

describe('an interruption', () => {
  test('leaves what was in flight finished, and a second run goes on without doubles', async () => {
    stockMugs();
    const path = await file('orders.ndjson', ...Array.from({ length: 40 }, (_, n) => ndjsonLine(String(n))));
    const stop = new AbortController();
    api.trouble = () => {
      if (api.orders.size >= 10) stop.abort();
      return undefined;
    };
    const first = await submitJson(path, ['--concurrency', '4'], { signal: stop.signal });
    const submitted = api.orders.size;
    expect(first.code).toBe(1);
    expect(submitted).toBeGreaterThanOrEqual(10);
    expect(submitted).toBeLessThan(20);
    expect(first.summary).toMatchObject({
      stopped: 'interrupted',
      orders: { accepted: submitted, notSubmitted: 40 - submitted },
    });

    api.trouble = () => undefined;
    const second = await submitJson(path);
    expect(second.code).toBe(0);
    expect(second.summary).toMatchObject({ orders: { accepted: 40 - submitted, alreadyThere: submitted } });
    expect(api.orders.size).toBe(40);
  });

  test('says how many were submitted and that running it again goes on', async () => {
    stockMugs();
    const path = await file('orders.ndjson', ndjsonLine('1'), ndjsonLine('2'));
    const stop = new AbortController();
    api.trouble = ({ path: asked }) => {
      if (asked === '/v1/orders') stop.abort();
      return undefined;
    };
    const { stdout, code } = await submit(path, ['--concurrency', '1'], { signal: stop.signal });
    expect(stdout).toContain('1 orders are submitted, 1 not yet. Run it again to go on: nothing is submitted twice.');
    expect(code).toBe(1);
  });

  test('ends a wait for an API that is away', async () => {
    stockMugs();
    const path = await file('orders.ndjson', ndjsonLine('1'));
    const stop = new AbortController();
    api.trouble = ({ method }) => (method === 'POST' ? { status: 503, headers: { 'retry-after': '60' } } : undefined);
    const running = submitJson(path, [], { signal: stop.signal });
    await until(() => api.log.some((line) => line.startsWith('POST')));
    stop.abort();
    const { code, summary } = await running;
    expect(code).toBe(1);
    expect(summary).toMatchObject({ stopped: 'interrupted', orders: { accepted: 0, notSubmitted: 1 } });
  });
});

describe('trouble on the way', () => {
  test.each([
    ['503', { status: 503 }],
    ['429', { status: 429 }],
    ['502', { status: 502, body: 'bad gateway' }],
    ['a key in progress', { status: 409, body: { code: 'idempotency_in_progress', detail: 'wait' } }],
    ['a broken connection', 'break'],
    ['a lost answer', 'lose'],
  ] as const)('%s is tried again with the same key', async (_name, trouble) => {
    stockMugs();
    api.trouble = ({ method, before }) => (method === 'POST' && before < 2 ? trouble : undefined);
    const path = await file('orders.ndjson', ndjsonLine('1'), ndjsonLine('2'));
    const { code } = await submit(path);
    expect(code).toBe(0);
    expect([...api.orders.keys()].toSorted()).toEqual(['file:1', 'file:2']);
    expect(api.log.filter((line) => line === 'POST /v1/orders file:1')).toHaveLength(3);
  });

  test('a refusal by the API is final, grouped by its kind, and in the report; the rest goes on', async () => {
    stockMugs();
    const path = await file('orders.ndjson', ndjsonLine('1', 'PAN'), ndjsonLine('2'), ndjsonLine('3', 'CUP'));
    const { code, summary } = await submitJson(path);
    expect(code).toBe(1);
    expect(summary).toMatchObject({
      orders: { accepted: 1, refusedByApi: 2 },
      refusals: { api: [{ count: 2, reason: expect.stringContaining('422 invalid_input') }] },
    });
    expect(api.log.filter((line) => line.startsWith('POST'))).toHaveLength(3);
    expect((await report()).map((line) => line.split(',').slice(0, 2))).toEqual([
      ['1', '1'],
      ['3', '3'],
    ]);
  });

  test('the same number with another content is refused, and the first order stays', async () => {
    stockMugs();
    await submit(await file('orders.ndjson', ndjsonLine('1')));
    const changed = JSON.stringify({ orderNumber: '1', items: [{ sku: 'MUG', quantity: 2 }] });
    const { code, stdout } = await submit(await file('orders.ndjson', changed));
    expect(code).toBe(1);
    expect(stdout).toContain('idempotency_key_reused');
    expect(api.bodies()).toEqual([{ items: [{ sku: 'MUG', quantity: 1 }] }]);
  });

  test('no more orders are on their way at a time than asked for', async () => {
    stockMugs();
    const held = Promise.withResolvers<void>();
    api.trouble = async ({ method }) => {
      if (method === 'POST') await held.promise;
      return undefined;
    };
    const path = await file('orders.ndjson', ...Array.from({ length: 12 }, (_, n) => ndjsonLine(String(n))));
    const running = submit(path, ['--concurrency', '3']);
    await until(() => api.inFlight === 3);
    held.resolve();
    expect((await running).code).toBe(0);
    expect(api.mostInFlight).toBe(3);
    expect(api.orders.size).toBe(12);
  });

  test('no more orders a second are submitted than asked for', async () => {
    stockMugs();
    const path = await file('orders.ndjson', ...Array.from({ length: 6 }, (_, n) => ndjsonLine(String(n))));
    const began = performance.now();
    expect((await submit(path, ['--rate', '20'])).code).toBe(0);
    // Five waits of 50 ms; a timer may fire a little early, and never much.
    expect(performance.now() - began).toBeGreaterThan(225);
    expect(api.orders.size).toBe(6);
  });

  test('nobody at the address: says so, and what to do, before the file is read', async () => {
    await api.close();
    const path = await csv('1,MUG,Mug,1,1.00,7,France');
    await expect(submit(path)).rejects.toThrow(/no answer from the API at .*npm start/);
    api = await startFakeApi();
  }, 15_000);
});

describe('words that cannot be used', () => {
  test.each([
    [[], 'FILE is missing'],
    [['a.csv', 'b.csv'], "'b.csv' is one word too many"],
    [['a.txt'], '--format'],
    [['a.csv', '--format', 'xml'], "'xml'"],
    [['a.csv', '--concurrency', '0'], "'0'"],
    [['a.csv', '--rate', '0'], "'0'"],
    [['a.csv', '--concurrency', '1e2'], "'1e2'"],
    [['a.csv', '--limit', '-1'], '--limit'],
    [['a.csv', '--currency', 'QQQ'], "'QQQ'"],
    [['a.csv', '--stock', '5'], '--catalog'],
    [['a.csv', '--url', 'ftp://x'], "'ftp://x'"],
    [['a.ndjson', '--catalog'], '--catalog is for CSV'],
    [['a.csv', '--colour'], '--colour'],
  ])('%j', async (words, part) => {
    const failure = runCommand(run, words);
    await expect(failure).rejects.toThrow(UsageError);
    await expect(failure).rejects.toThrow(part);
  });
});

describe('a CSV file', () => {
  test('names each line that is no order line, with its number and why, and submits the rest', async () => {
    const path = await csv(
      good('1'),
      'C2,MUG,Mug,-1,12.50,17850,United Kingdom',
      '1,MUG,Mug,-3,12.50,17850,United Kingdom',
      '1,MUG,Mug,0,12.50,17850,United Kingdom',
      '1,MUG,Mug,1.5,12.50,17850,United Kingdom',
      '1,MUG,Mug,1,0,17850,United Kingdom',
      '1,MUG,Mug,1,-4,17850,United Kingdom',
      '1,MUG,Mug,1,4.005,17850,United Kingdom',
      '1,MUG,Mug,1,"4,5",17850,United Kingdom',
      '1,,Mug,1,4,17850,United Kingdom',
      ',MUG,Mug,1,4,17850,United Kingdom',
      '1,MUG,Mug,1,4,17850',
      '3,MUG,Mug,-1,4,17850,United Kingdom',
      good('4'),
    );
    const { code, summary } = await submitJson(path, ['--catalog']);
    expect(code).toBe(0);
    expect(api.bodies().map((body) => body.items)).toEqual([
      [{ sku: 'MUG', quantity: 1 }],
      [{ sku: 'MUG', quantity: 1 }],
    ]);
    expect([...api.orders.keys()]).toEqual(['file:1', 'file:4']);
    expect(summary).toMatchObject({
      orders: { accepted: 2, refusedHere: 1 },
      lines: { submitted: 2, refused: 12 },
      refusals: { orders: [{ reason: 'none of its lines can be used', count: 1 }] },
    });
    expect(await report()).toEqual([
      '3,C2,"it is part of a credit note, not of an order","C2,MUG,Mug,-1,12.50,17850,United Kingdom"',
      '4,1,Quantity is not above zero: -3,"1,MUG,Mug,-3,12.50,17850,United Kingdom"',
      '5,1,Quantity is not above zero: 0,"1,MUG,Mug,0,12.50,17850,United Kingdom"',
      '6,1,"Quantity is no whole number: ""1.5""","1,MUG,Mug,1.5,12.50,17850,United Kingdom"',
      '7,1,UnitPrice is not above zero: 0,"1,MUG,Mug,1,0,17850,United Kingdom"',
      '8,1,UnitPrice is not above zero: -4,"1,MUG,Mug,1,-4,17850,United Kingdom"',
      '9,1,"UnitPrice is no amount in GBP: ""4.005""","1,MUG,Mug,1,4.005,17850,United Kingdom"',
      '10,1,"UnitPrice is no amount in GBP: ""4,5""","1,MUG,Mug,1,""4,5"",17850,United Kingdom"',
      '11,1,StockCode is missing,"1,,Mug,1,4,17850,United Kingdom"',
      '12,,InvoiceNo is missing,",MUG,Mug,1,4,17850,United Kingdom"',
      '13,1,the line does not have 7 fields as the header has: 6,"1,MUG,Mug,1,4,17850"',
      '14,3,Quantity is not above zero: -1,"3,MUG,Mug,-1,4,17850,United Kingdom"',
    ]);
  });

  test('a line whose article is not in the catalogue is refused alone; an order of only such lines wholly', async () => {
    stockMugs();
    const path = await csv(good('1', 'MUG'), good('1', 'CUP'), good('2', 'CUP'));
    const { code, summary } = await submitJson(path);
    expect(code).toBe(0);
    expect(api.bodies().map((body) => body.items)).toEqual([[{ sku: 'MUG', quantity: 1 }]]);
    expect(summary).toMatchObject({ orders: { accepted: 1, refusedHere: 1 }, lines: { submitted: 1, refused: 2 } });
    expect((await report()).map((line) => line.split(',').slice(0, 3).join())).toEqual([
      '3,1,StockCode is not in the catalogue',
      '4,2,StockCode is not in the catalogue',
    ]);
  });

  test('an article that the API does not take refuses its lines and stops nothing', async () => {
    api.trouble = ({ method, path }) =>
      method === 'PUT' && path === '/v1/catalog/BAD'
        ? { status: 422, body: { code: 'invalid_input', detail: 'no such word' } }
        : undefined;
    const { code, stdout } = await submit(await csv(good('1', 'BAD'), good('2')), ['--catalog']);
    expect(code).toBe(0);
    expect([...api.orders.keys()]).toEqual(['file:2']);
    expect(stdout).toContain('the catalogue does not take this StockCode');
  });

  test('an order whose lines name several customers, several countries, or none that is known, is refused with all its lines', async () => {
    const path = await csv(
      '1,MUG,Mug,1,1,17850,France',
      '1,MUG,Mug,1,1,17851,France',
      '2,MUG,Mug,1,1,17850,France',
      '2,MUG,Mug,1,1,17850,Spain',
      '3,MUG,Mug,1,1,17850,Atlantis',
      '4,MUG,Mug,1,1,17850,France',
    );
    const { code, summary } = await submitJson(path, ['--catalog']);
    expect(code).toBe(0);
    expect([...api.orders.keys()]).toEqual(['file:4']);
    expect(summary).toMatchObject({ orders: { refusedHere: 3 }, lines: { submitted: 1, refused: 5 } });
    expect((await report()).map((line) => line.split(',').slice(0, 2).join())).toEqual([
      '2,1',
      '3,1',
      '4,2',
      '5,2',
      '6,3',
    ]);
    expect((await report()).at(-1)).toContain('order refused: its Country is not known');
  });

  test('quotes, doubled quotes, commas and line breaks in quotes are one field; line numbers are those of the file', async () => {
    const path = join(folder, 'dos.csv');
    await writeFile(
      path,
      `\uFEFF${header}\r\n1,MUG,"Mug, ""big""\r\nand blue",2,1.50,17850,France\r\n\r\n2,MUG,12" mug,-1,1.50,17850,France\r\n`,
    );
    await submit(path, ['--catalog']);
    expect(api.items.get('MUG')?.description).toBe('Mug, "big" and blue');
    expect(await report()).toEqual(['5,2,Quantity is not above zero: -1,"2,MUG,12"" mug,-1,1.50,17850,France"']);
  });

  test('a quotation mark that is never closed is named by its line, and nothing is submitted', async () => {
    const path = await csv(good('1'), '2,MUG,"Mug,1,1,1,France', good('3'), good('4'));
    await expect(submit(path)).rejects.toThrow(/^line 3: a quotation mark opens there and is not closed/);
    expect(api.orders.size).toBe(0);
  });

  test.each([
    ['', 'the file is empty'],
    ['InvoiceNo,StockCode,Quantity,UnitPrice,Country', 'lacks Description, CustomerID'],
    [`${header},InvoiceNo`, 'names InvoiceNo twice'],
  ])('a header %j is refused with what is wrong', async (first, part) => {
    const path = join(folder, 'bad.csv');
    await writeFile(path, first === '' ? '' : `${first}\n`);
    await expect(submit(path)).rejects.toThrow(part);
  });

  test('columns may stand in any order, beside others', async () => {
    const path = await file(
      'orders.csv',
      'Country,Date,InvoiceNo,CustomerID,UnitPrice,Quantity,Description,StockCode',
      'France,1 March,1,17850,2.55,6,Mug,MUG',
    );
    await submit(path, ['--catalog', '--payment-token', 'tok_mastercard']);
    expect(api.bodies()).toEqual([
      {
        customerId: '17850',
        currency: 'GBP',
        items: [{ sku: 'MUG', quantity: 6 }],
        payment: { token: 'tok_mastercard' },
        shippingAddress: expect.objectContaining({ country: 'FR' }),
      },
    ]);
    expect(api.items.get('MUG')).toEqual({ description: 'Mug', priceMinor: 255, currency: 'GBP' });
  });

  test('an order is all lines of its number, wherever they stand', async () => {
    const path = await csv(good('1', 'MUG'), good('2', 'CUP'), good('1', 'JUG'), good('3', 'MUG'), good('1', 'MUG', 5));
    await submit(path, ['--catalog']);
    expect(api.orders.get('file:1')?.body.items).toEqual([
      { sku: 'MUG', quantity: 1 },
      { sku: 'JUG', quantity: 1 },
      { sku: 'MUG', quantity: 5 },
    ]);
    expect(api.orders.size).toBe(3);
  });

  test('an order without a customer is that of a guest, the same guest on each run', async () => {
    const path = await csv('536414,MUG,Mug,1,1.00,,Norway');
    await submit(path, ['--catalog']);
    expect(api.bodies()[0]).toMatchObject({ customerId: 'guest-536414' });
    expect((await submitJson(path)).summary).toMatchObject({ orders: { accepted: 0, alreadyThere: 1 } });
  });

  test('--catalog takes the first good price and enough stock, and a repeat leaves both alone', async () => {
    const path = await csv(
      'C1,MUG,Mug,-9,9.99,1,France',
      '2,MUG,,9,0,1,France',
      good('2', 'MUG', 2, '12.50'),
      good('3', 'MUG', 3, '11.00'),
    );
    const first = await submitJson(path, ['--catalog']);
    expect(api.items.get('MUG')).toEqual({ description: 'A mug', priceMinor: 1250, currency: 'GBP' });
    expect(api.stock.get('MUG')).toEqual({ onHand: 5, reserved: 0 });
    expect(first.summary).toMatchObject({
      catalog: { itemsCreated: 1, itemsFound: 0, stockCreated: 1 },
      lines: { repriced: 1 },
    });

    api.items.set('MUG', { description: 'Renamed', priceMinor: 1300, currency: 'GBP' });
    api.stock.set('MUG', { onHand: 50, reserved: 40 });
    const second = await submitJson(path, ['--catalog']);
    expect(second.code).toBe(0);
    expect(second.summary).toMatchObject({
      catalog: { itemsCreated: 0, itemsFound: 1, stockCreated: 0 },
      lines: { repriced: 2 },
    });
    expect(api.items.get('MUG')?.description).toBe('Renamed');
    expect(api.stock.get('MUG')).toEqual({ onHand: 50, reserved: 40 });
  });

  test('a catalogue that broke off between an article and its stock is completed', async () => {
    stockMugs();
    await submit(await csv(good('1', 'MUG', 4)), ['--catalog', '--stock', '100']);
    expect(api.stock.get('MUG')).toEqual({ onHand: 100, reserved: 0 });
  });

  test('--limit takes the first orders of the file alone, with all their lines, and their articles', async () => {
    const path = await csv(
      good('1'),
      good('2', 'CUP'),
      good('3', 'JUG'),
      'C4,MUG,x,-1,1,1,France',
      good('1', 'PAN'),
      ',,,,,,',
    );
    const { summary } = await submitJson(path, ['--catalog', '--limit', '2']);
    expect([...api.orders.keys()].toSorted()).toEqual(['file:1', 'file:2']);
    expect([...api.items.keys()].toSorted()).toEqual(['CUP', 'MUG', 'PAN']);
    expect(summary).toMatchObject({ stopped: null, lines: { submitted: 3, refused: 0 } });
  });

  test('every line of the file is in an accepted order or in the report', async () => {
    api.trouble = ({ key }) =>
      key === 'file:3' ? { status: 422, body: { code: 'invalid_input', detail: 'no' } } : undefined;
    const lines = [
      good('1'),
      good('2'),
      'C9,,,,,,',
      good('3'),
      good('3', 'CUP'),
      good('2', 'JUG', -1),
      '4,MUG,x,1,1,1,Atlantis',
    ];
    const { summary } = await submitJson(await csv(...lines), ['--catalog']);
    expect(summary).toMatchObject({ lines: { submitted: 2, refused: 5 } });
    expect((await report()).map((line) => Number(line.split(',')[0])).toSorted((a, b) => a - b)).toEqual([
      4, 5, 6, 7, 8,
    ]);
  });
});

describe('an NDJSON file', () => {
  test('names each line that is no order, with its number and why', async () => {
    stockMugs();
    const path = await file(
      'orders.ndjson',
      ndjsonLine('1'),
      '{"orderNumber": "2", ',
      '[]',
      '{"items": []}',
      '{"orderNumber": 5}',
      '',
      ndjsonLine('6'),
    );
    const { code, summary } = await submitJson(path);
    expect(code).toBe(0);
    expect([...api.orders.keys()].toSorted()).toEqual(['file:1', 'file:6']);
    expect(summary).toMatchObject({ orders: { accepted: 2 }, lines: { submitted: 2, refused: 4 } });
    const rows = await report();
    expect(rows.map((line) => line.split(',')[0])).toEqual(['2', '3', '4', '5']);
    expect(rows[2]).toBe('4,,orderNumber is missing,"{""items"": []}"');
  });

  test('sends the body as it stands, without the number', async () => {
    const body = { customerId: 'c', items: [{ sku: 'MUG', quantity: 2 }], more: ['é', null] };
    stockMugs();
    await submit(await file('orders.jsonl', `\uFEFF${JSON.stringify({ orderNumber: 'A-1', ...body })}`));
    expect(api.bodies()).toEqual([body]);
  });
});

describe('--wait', () => {
  const times = { createdAt: '2026-03-01T10:00:00.000Z', confirmedAt: null, finishedAt: null };

  test('asks until each order is at its end or waits for a person, and says what became of them', async () => {
    stockMugs();
    const path = await file('orders.ndjson', ...['1', '2', '3'].map((number) => ndjsonLine(number)));
    const polls = new Map<string, number>();
    api.state = ({ id, key }) => {
      polls.set(id, (polls.get(id) ?? 0) + 1);
      if (key === 'file:3') return { ...times, attention: { id: 'a', step: 'book' }, status: 'confirmed' };
      if ((polls.get(id) ?? 0) < 2) return times;
      const confirmedAt = key === 'file:1' ? '2026-03-01T10:00:00.100Z' : '2026-03-01T10:00:00.300Z';
      return { status: 'completed', createdAt: times.createdAt, confirmedAt, finishedAt: '2026-03-01T10:00:04.000Z' };
    };
    const { code, summary } = await submitJson(path, ['--wait']);
    expect(code).toBe(0);
    expect(summary).toMatchObject({
      wait: {
        byStatus: { completed: 2, confirmed: 1 },
        waitingForPerson: { book: 1 },
        onTheirWay: 0,
        finishedPerSecond: 0.5,
        confirmation: { orders: 2, p50Ms: 100, p99Ms: 300 },
      },
    });
    expect([...polls.values()].toSorted((a, b) => a - b)).toEqual([1, 2, 2]);
  });

  test('an interruption of the waiting says what is known and does not claim success', async () => {
    stockMugs();
    const stop = new AbortController();
    api.state = () => {
      stop.abort();
      return times;
    };
    const path = await file('orders.ndjson', ndjsonLine('1'));
    const { code, summary } = await submitJson(path, ['--wait'], { signal: stop.signal });
    expect(code).toBe(1);
    expect(summary).toMatchObject({ stopped: 'interrupted', orders: { accepted: 1 }, wait: { onTheirWay: 1 } });
  });
});

test('the summary for people names the counts, the reasons and the report', async () => {
  const path = await csv('1,MUG,Mug,1,2.50,7,France', '1,CUP,Cup,-1,2.50,7,France');
  const { stdout, stderr } = await submit(path, ['--catalog']);
  expect(stdout).toContain('catalogue: 1 articles added, 0 there before; stock added for 1');
  expect(stdout).toContain('orders accepted: 1 new, 0 already there');
  expect(stdout).toContain('lines: 1 in accepted orders, 1 not');
  expect(stdout).toContain('1  Quantity is not above zero (line 3: -1)');
  expect(stdout).toContain(reportPath());
  expect(stderr).toContain('submitting 100%');
});

test('--help says what happens to bad lines and to prices', async () => {
  const { code, stdout } = await runCommand(run, ['--help']);
  expect(code).toBe(0);
  expect(stdout).toContain('A line is refused');
  expect(stdout).toContain("An order's total comes from the catalogue");
});
