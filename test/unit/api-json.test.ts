import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson, JsonSyntaxError, parseJson } from '../../src/api/json.ts';

function positionIn(text: string): number | undefined {
  try {
    parseJson(text);
    return undefined;
  } catch (error) {
    if (error instanceof JsonSyntaxError) return error.position;
    throw error;
  }
}

describe('malformed JSON', () => {
  test.each([
    ['', 0],
    ['x', 0],
    ['{a', 1],
    ['  nul', 2],
    ['{"a":1,}', 7],
    ['{"a":}', 5],
    ['{"a": tru}', 6],
    ['[1 2]', 3],
    ['[1,]', 3],
    ['[,1]', 1],
    ['{"a":[1,2', 9],
    ['"a\nb"', 2],
    ['[]]', 2],
    ['{"a":[], "b":{}, "c":x}', 21],
  ])('%j is wrong at %i', (text, position) => {
    expect(positionIn(text)).toBe(position);
  });

  test('says line and column too', () => {
    expect(() => parseJson('{\n  "a": 1,\n  "b": ?\n}')).toThrow('unexpected "?" at position 19 (line 3, column 8)');
    expect(() => parseJson('{\n  "a": 1')).toThrow('ends too early, at position 10 (line 2, column 9)');
  });

  test('always has a position within the text', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.string({ maxLength: 2 }), (json, at, change) => {
        const text = json.slice(0, at % (json.length + 1)) + change;
        const position = positionIn(text) ?? 0;
        expect(position).toBeGreaterThanOrEqual(0);
        expect(position).toBeLessThanOrEqual(text.length);
      }),
    );
  });

  test('of a megabyte is found wrong at once', () => {
    // Of the processor's time: others may hold the cores meanwhile.
    const before = process.cpuUsage();
    expect(positionIn('['.repeat(1_000_000))).toBe(1_000_000);
    expect(positionIn(`"${'\\"'.repeat(500_000)}`)).toBeDefined();
    expect(process.cpuUsage(before).user / 1_000).toBeLessThan(2_000);
  });
});

describe('canonical JSON', () => {
  test('has one text for equal values, whatever the order of their members', () => {
    const shuffled = fc.jsonValue().chain((value) => fc.constant([value, reversed(value)] as const));
    fc.assert(
      fc.property(shuffled, ([value, other]) => {
        expect(canonicalJson(other)).toBe(canonicalJson(value));
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  test('leaves out what is undefined and keeps null', () => {
    expect(canonicalJson({ b: null, a: undefined, c: [1, { z: 1, y: '"' }] })).toBe(
      '{"b":null,"c":[1,{"y":"\\"","z":1}]}',
    );
  });
});

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, member]) => [key, reversed(member)]),
  );
}
