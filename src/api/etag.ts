import { ApiProblem } from './problems.ts';

/** The strong entity tag (RFC 9110 §8.8.3) of a resource at `version`. */
export function etagOf(version: number): string {
  return `"${version}"`;
}

/** `any`: no condition. `never`: a condition that no version of ours can meet. */
export type VersionCondition = number | 'any' | 'never';

/**
 * Reads `If-Match`. One tag only, for a change is made to one version. Throws `invalid_header` for what is no entity
 * tag. Weak tags never match here (RFC 9110 §13.1.1).
 */
export function readIfMatch(header: string | undefined): VersionCondition {
  if (header === undefined || header.trim() === '*') return 'any';
  const tags = readTags(header);
  const [tag, ...others] = tags ?? [];
  if (tag === undefined || others.length > 0) {
    throw new ApiProblem(
      'invalid_header',
      `If-Match must be one entity tag in quotes, as in the ETag of what you saw, or *; got ${JSON.stringify(header)}`,
      { errors: [{ parameter: 'If-Match', detail: 'must be one entity tag such as "3", or *' }] },
    );
  }
  return /^"(0|[1-9]\d{0,14})"$/.test(tag) ? Number(tag.slice(1, -1)) : 'never';
}

/** Whether `If-None-Match` names `version`, by weak comparison; a malformed one names nothing. */
export function noneMatch(header: string | undefined, version: number): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  return readTags(header)?.some((tag) => tag.replace(/^W\//, '') === etagOf(version)) ?? false;
}

function readTags(header: string): readonly string[] | undefined {
  const tags = header.split(',').map((tag) => tag.trim());
  return tags.every((tag) => /^(W\/)?"[\x21\x23-\x7e]*"$/.test(tag)) ? tags : undefined;
}
