import type { z } from 'zod';
import { ApiProblem, type ProblemCode, type ProblemError } from './problems.ts';

export type Place = 'path' | 'query' | 'header' | 'body';

/** A thousand bad lines are told as well by the first hundred. */
const maxErrors = 100;

/**
 * Parses one part of a request by its schema. Throws `ApiProblem` that names each bad value and its place: `pointer`
 * into a body, `parameter` elsewhere.
 */
export function validate<S extends z.ZodType>(schema: S, value: unknown, place: Place, code: ProblemCode): z.output<S> {
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return parsed.data;
  const all = errorsIn(parsed.error, place);
  const errors = all.slice(0, maxErrors);
  const first = errors[0];
  const where = first?.parameter ?? (first?.pointer === '' ? 'the body' : first?.pointer);
  const others = all.length > 1 ? ` (and ${all.length - 1} more: see errors)` : '';
  throw new ApiProblem(code, `${where}: ${first?.detail}${others}`, { errors });
}

/** All that is wrong, the first at each place; parse with `reportInput`, so that each can say what it got. */
export function errorsIn(error: z.ZodError, place: Place): readonly ProblemError[] {
  return firstAtEachPlace(error.issues.flatMap((issue) => errorsOf(issue, place)));
}

function errorsOf(issue: z.core.$ZodIssue, place: Place): readonly ProblemError[] {
  if (issue.code === 'unrecognized_keys') {
    const detail = place === 'body' ? 'is no known field; leave it out' : 'is no known parameter; leave it out';
    return issue.keys.map((key) => ({ ...placeOf([...issue.path, key], place), detail }));
  }
  return [{ ...placeOf(issue.path, place), detail: detailOf(issue) }];
}

/** What else is wrong with the same value mostly follows from the first. */
function firstAtEachPlace(errors: readonly ProblemError[]): readonly ProblemError[] {
  const byPlace = new Map<string, ProblemError>();
  for (const error of errors) {
    const place = error.pointer ?? error.parameter ?? '';
    if (!byPlace.has(place)) byPlace.set(place, error);
  }
  return [...byPlace.values()];
}

function detailOf(issue: z.core.$ZodIssue): string {
  const ownWords = !issue.message.startsWith('Invalid input');
  if (issue.input === undefined && issue.code === 'invalid_type') return ownWords ? issue.message : 'is missing';
  const message = issue.message.replace(/^(Invalid input|Invalid option|Invalid string): /, '');
  const got = typeof issue.input === 'object' && issue.input !== null ? undefined : JSON.stringify(issue.input);
  if (got === undefined || message.includes('received')) return message;
  return `${message}; got ${got.length > 80 ? `${got.slice(0, 80)}…` : got}`;
}

function placeOf(path: readonly PropertyKey[], place: Place): { pointer: string } | { parameter: string } {
  const names = path.map(String);
  if (place !== 'body') return { parameter: names.join('.') };
  return { pointer: names.map((name) => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('') };
}
