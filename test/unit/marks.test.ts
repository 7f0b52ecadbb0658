import { expect, test } from 'vitest';
import { marksIn, newMark, newPlainMark } from '../support/marks.ts';

const marks = { name: newMark('Ada'), token: newPlainMark('tok') };

test.each([
  ['in the clear', (text: string) => `x${text}y`],
  ['in JSON', (text: string) => JSON.stringify({ text })],
  ['in JSON within JSON', (text: string) => JSON.stringify({ text: JSON.stringify({ text }) })],
  ['in a path', (text: string) => `/v1/${encodeURIComponent(text)}/x`],
  ['in a form', (text: string) => new URLSearchParams({ a: '1', text }).toString()],
  ['in base64', (text: string) => Buffer.from(text).toString('base64')],
  ['in base64 after one byte', (text: string) => Buffer.from(`x${text}yz`).toString('base64')],
  ['in base64 after two bytes', (text: string) => Buffer.from(`xx${text}y`).toString('base64')],
  ['in base64url of JSON', (text: string) => Buffer.from(JSON.stringify([text])).toString('base64url')],
  ['in hex', (text: string) => `\\x${Buffer.from(`x${text}`).toString('hex')}`],
])('a mark is found %s', (_, written) => {
  expect(marksIn(marks, `1${written(marks.name)}`)).toEqual(['name']);
  expect(marksIn(marks, written(marks.token))).toEqual(['token']);
  expect(marksIn(marks, written('somebody else'))).toEqual([]);
});
