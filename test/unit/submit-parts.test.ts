import type { ReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { forEachBounded } from '../../src/bounded.ts';
import { countryCode } from '../../src/commands/submit/countries.ts';
import { csvRecords } from '../../src/commands/submit/csv-records.ts';
import { openNdjson } from '../../src/commands/submit/ndjson-orders.ts';
import { openFile } from '../../src/commands/submit/open-file.ts';
import { duration, progressLine, showProgress } from '../../src/commands/submit/progress.ts';
import { Groups } from '../../src/commands/submit/tally.ts';
import { percentile } from '../../src/commands/submit/wait.ts';

afterEach(() => void vi.useRealTimers());

async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** A file that comes in chunks of the reader's choice. */
function chunked(text: string, size: number) {
  const bytes = Buffer.from(text);
  const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) =>
    bytes.subarray(n * size, (n + 1) * size),
  );
  return { read: async () => Readable.from(chunks) as ReadStream };
}

describe('records of a CSV file', () => {
  const field = fc.string({ unit: fc.constantFrom('a', 'é', '"', ',', '\n', '\r\n', ' ', '😀'), maxLength: 8 });
  const quote = (text: string) => `"${text.replaceAll('"', '""')}"`;

  test('are what was written, on the lines where they were written, however the file comes in', async () => {
    const records = fc.array(fc.tuple(field, field), { minLength: 1, maxLength: 8 });
    const ending = fc.constantFrom('\n', '\r\n');
    await fc.assert(
      fc.asyncProperty(records, ending, fc.integer({ min: 1, max: 7 }), async (written, newline, size) => {
        const texts = written.map((fields) => fields.map(quote).join(','));
        const read = await allOf(csvRecords(chunked(texts.map((text) => text + newline).join(''), size)));
        expect(read.map(({ fields }) => fields)).toEqual(written);
        let line = 1;
        for (const [at, text] of texts.entries()) {
          expect(read[at]).toMatchObject({ line, content: text });
          line += text.split('\n').length;
        }
      }),
      { numRuns: 200 },
    );
  });

  test('beyond any sensible length end the reading with the line where they began', async () => {
    const text = `a,b\n"1\n2",3\n4,"${'x'.repeat(300_000)}\n`;
    await expect(allOf(csvRecords(chunked(text, 65_536)))).rejects.toThrow('line 4: a quotation mark opens');
    await expect(allOf(csvRecords(chunked(`"${'x'.repeat(300_000)}`, 65_536)))).rejects.toThrow(
      'line 1: a quotation mark opens',
    );
  });

  test('are counted to the line of a quotation mark that is never closed, however far the parser is ahead', async () => {
    const text = `${'1,2\r\n'.repeat(200)}3,"4\r\n${'5,6\r\n'.repeat(50)}`;
    await expect(allOf(csvRecords(chunked(text, 65_536)))).rejects.toThrow('line 201: a quotation mark opens');
  });
});

describe('a file', () => {
  test('that changes between its two readings is not read on', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'evenkeel-file-'));
    try {
      const path = join(folder, 'orders.ndjson');
      await writeFile(path, '{"orderNumber":"1"}\n');
      const source = await openNdjson(await openFile(path), undefined);
      await writeFile(path, '{"orderNumber":"1"}\n{"orderNumber":"2"}\n');
      await expect(allOf(source.items())).rejects.toThrow('has changed while it was read');
      await expect(openFile(join(folder, 'none'))).rejects.toThrow(/^there is no file .*none$/);
      await expect(openFile(folder)).rejects.toThrow('is no plain file');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('with a line longer than the API takes loses that line alone', async () => {
    const long = JSON.stringify({ orderNumber: '2', more: 'x'.repeat(3 * 1024 * 1024) });
    const source = await openNdjson(
      chunked(`{"orderNumber":"1"}\n${long}\n{"orderNumber":"é3"}\r\n{"orderNumber":"4"}`, 65_537),
      undefined,
    );
    const items = await allOf(source.items());
    expect(source.orders).toBe(2);
    expect(
      items.map((item) => (item.kind === 'refused_line' ? [item.line.line, item.reason.label] : item.orderNumber)),
    ).toEqual([
      '1',
      [2, 'the line is longer than the API takes'],
      [3, 'orderNumber is no text of 1 to 250 printable ASCII characters'],
      '4',
    ]);
  });
});

describe('bounded work', () => {
  const signal = new AbortController().signal;

  test('begins nothing after a failure, waits for what it began, and throws the failure', async () => {
    const began: number[] = [];
    const ended: number[] = [];
    const slow = Promise.withResolvers<void>();
    const working = forEachBounded([1, 2, 3, 4], { concurrency: 2, signal }, async (item) => {
      began.push(item);
      if (item === 2) {
        setImmediate(slow.resolve);
        throw new Error('two is bad');
      }
      await slow.promise;
      ended.push(item);
    });
    await expect(working).rejects.toThrow('two is bad');
    expect(began).toEqual([1, 2]);
    expect(ended).toEqual([1]);
  });

  test('leaves an item alone that comes after the end was asked for', async () => {
    const stop = new AbortController();
    async function* items() {
      yield await Promise.resolve(1);
      stop.abort();
      yield 2;
    }
    const done: number[] = [];
    await forEachBounded(items(), { concurrency: 1, signal: stop.signal }, async (item) => void done.push(item));
    expect(done).toEqual([1]);
  });

  test('throws what the items themselves throw', async () => {
    async function* items() {
      yield await Promise.resolve(1);
      throw new Error('no more to read');
    }
    await expect(forEachBounded(items(), { concurrency: 3, signal }, async () => {})).rejects.toThrow(
      'no more to read',
    );
  });
});

describe('progress', () => {
  const state = {
    label: 'submitting',
    done: 30,
    total: 120,
    counts: { new: 28, 'already there': 0, refused: 2 },
  };

  test('shows a bar, the rate, the counts by outcome and the time left, and keeps to the width', () => {
    expect(progressLine(state, 12.4, 3_000, 120)).toBe(
      'submitting [#####...............] 25%  30/120  12/s  28 new  2 refused  7 s left',
    );
    expect(progressLine({ ...state, note: '(trying again: 503)' }, 0, 3_000, 60)).toHaveLength(60);
    expect(progressLine({ label: 'reading', done: 5, total: undefined }, 0, 65_000, undefined)).toBe(
      'reading  5  1 min 5 s so far',
    );
    expect(progressLine({ label: 'submitting', done: 0, total: 0 }, 0, 0, undefined)).toContain('100%');
  });

  test.each([
    ['a terminal', true, 10, /^\r/],
    ['a file', false, 0, /^submitting/],
  ])('is redrawn on %s at most so often', (_name, isTTY, perSecond, start) => {
    vi.useFakeTimers();
    const stderr = Object.assign(new PassThrough({ encoding: 'utf8' }), { isTTY, columns: 100 });
    const drawn: string[] = [];
    stderr.on('data', (text: string) => drawn.push(text));
    const progress = showProgress(stderr, () => state);
    drawn.length = 0;
    vi.advanceTimersByTime(1_000);
    expect(drawn).toHaveLength(perSecond);
    vi.advanceTimersByTime(4_000);
    expect(drawn).toHaveLength(isTTY ? 50 : 1);
    for (const text of drawn) expect(text).toMatch(start);
    progress.stop();
    const last = drawn.length;
    vi.advanceTimersByTime(60_000);
    expect(drawn).toHaveLength(last);
  });

  test('the rate is that of the last seconds', () => {
    vi.useFakeTimers();
    const stderr = new PassThrough({ encoding: 'utf8' });
    let last = '';
    stderr.on('data', (text: string) => (last = text));
    let done = 0;
    const progress = showProgress(stderr, () => ({ label: 'submitting', done, total: 10_000 }));
    for (let second = 0; second < 70; second += 1) {
      vi.advanceTimersByTime(1_000);
      done += second < 40 ? 1 : 100;
    }
    progress.stop();
    expect(last).toMatch(/ (9\d|10\d)\/s/);
  });

  test.each([
    [0, '0 ms'],
    [850, '850 ms'],
    [59_400, '59 s'],
    [59_600, '1 min 0 s'],
    [7_620_000, '2 h 7 min'],
    [97 * 3_600_000, '4 d 1 h'],
  ])('%d ms is %s', (ms, text) => expect(duration(ms)).toBe(text));
});

test('reasons beyond the fiftieth are counted together', () => {
  const groups = new Groups();
  for (let n = 0; n < 60; n += 1) groups.add(`reason ${n}`, 'example');
  groups.add('reason 7', 'another');
  expect(groups.list()).toHaveLength(51);
  expect(groups.list()[0]).toEqual({ reason: 'other reasons', count: 10, example: 'example' });
  expect(groups.list()[1]).toEqual({ reason: 'reason 7', count: 2, example: 'example' });
});

test('a percentile is a value that was measured', () => {
  const sorted = Array.from({ length: 200 }, (_, n) => n + 1);
  expect(percentile(sorted, 0.5)).toBe(100);
  expect(percentile(sorted, 0.99)).toBe(198);
  expect(percentile([7], 0.99)).toBe(7);
});

test.each([
  ['United Kingdom', 'GB'],
  ['EIRE', 'IE'],
  ['Channel Islands', 'JE'],
  ['DE', 'DE'],
  ['Unspecified', undefined],
  ['constructor', undefined],
  ['', undefined],
])('the country %j is %s', (name, code) => expect(countryCode(name)).toBe(code));
