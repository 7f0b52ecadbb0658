import type { z } from 'zod';

/** A request that this world does not accept, or cannot now: no effect, nothing remembered. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  /** For programs; `message` is for people and may name the bad value. */
  readonly code: string;
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, code: string, message: string, retryAfterSeconds?: number) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** Checks a request's body or query. Throws a `Problem` (400) that names every bad place. */
export function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const places = parsed.error.issues.map((issue) => `/${issue.path.join('/')}: ${issue.message}`);
  throw new Problem(400, 'malformed', places.join('; '));
}
