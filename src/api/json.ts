/** Thrown for text that is no JSON; says where. */
export class JsonSyntaxError extends Error {
  override readonly name = 'JsonSyntaxError';
  /** Index of the first character that cannot stand there. */
  readonly position: number;

  constructor(text: string, position: number) {
    const before = text.slice(0, position);
    const line = before.split('\n').length;
    const column = position - before.lastIndexOf('\n');
    super(
      position >= text.length
        ? `the JSON ends too early, at position ${position} (line ${line}, column ${column})`
        : `unexpected ${JSON.stringify(text[position])} at position ${position} (line ${line}, column ${column})`,
    );
    this.position = position;
  }
}

/** Parses JSON. Throws `JsonSyntaxError`. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new JsonSyntaxError(text, positionOf(text, error instanceof Error ? error.message : ''));
  }
}

/**
 * V8 names the position of most errors, but not of an unexpected token nor of an early end. For those the tokens are
 * walked up to the first that is none, or that stands where a value should.
 */
function positionOf(text: string, message: string): number {
  const named = /at position (\d+) \(line/.exec(message)?.[1];
  if (named !== undefined) return Number(named);
  const token = /[ \t\r\n]*(?:("(?:[^"\\]|\\.)*"|[-+.\dEe]+|true|false|null)|([{}[\],:]))/y;
  let expectsValue = true;
  let afterBracket = false;
  while (token.lastIndex < text.length) {
    const start = token.lastIndex;
    const match = token.exec(text);
    if (!match) return start + blanksAt(text, start);
    const mark = match[2];
    const closesEmpty = mark === ']' && afterBracket;
    if (expectsValue && mark !== undefined && mark !== '{' && mark !== '[' && !closesEmpty) return token.lastIndex - 1;
    expectsValue = mark === '[' || mark === ',' || mark === ':';
    afterBracket = mark === '[';
  }
  return text.length;
}

function blanksAt(text: string, start: number): number {
  return /^[ \t\r\n]*/.exec(text.slice(start))?.[0].length ?? 0;
}

/**
 * JSON with the members of every object sorted by name and without blanks, so that equal values have equal text: what
 * a hash is taken of. Members that are undefined are left out, as `JSON.stringify` does.
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item: unknown) => canonicalJson(item)).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`);
    return `{${members.join(',')}}`;
  }
  return JSON.stringify(value);
}

/** Why a JSON value cannot be kept in PostgreSQL's jsonb or is nobody's honest wish; undefined if it can. */
export function jsonProblem(value: unknown, levels = 20): string | undefined {
  if (typeof value === 'string') {
    return value.isWellFormed() && !value.includes('\0') ? undefined : 'must not contain NUL or half a character';
  }
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : 'must not contain a number beyond 1.8e308';
  if (typeof value !== 'object' || value === null) return undefined;
  if (levels === 0) return 'must not be nested that deep';
  for (const [name, member] of Object.entries(value)) {
    const problem = jsonProblem(name) ?? jsonProblem(member, levels - 1);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
