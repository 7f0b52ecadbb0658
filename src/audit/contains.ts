type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/**
 * Whether `whole` contains `part` by the rules of PostgreSQL's jsonb operator `@>`
 * (https://www.postgresql.org/docs/current/datatype-json.html#JSON-CONTAINMENT): objects by their members, arrays as
 * sets, and an array contains a bare value at the top level only.
 */
export function contains(whole: unknown, part: unknown): boolean {
  if (Array.isArray(whole) && !isStructure(part)) return whole.some((item) => isSame(item, part));
  return containsWithin(whole as Json, part as Json);
}

function containsWithin(whole: Json, part: Json): boolean {
  if (Array.isArray(part)) {
    return (
      Array.isArray(whole) && part.every((wanted: Json) => whole.some((item: Json) => containsWithin(item, wanted)))
    );
  }
  if (isObject(part)) {
    return (
      isObject(whole) &&
      Object.entries(part).every(([name, wanted]) => {
        const found = Object.hasOwn(whole, name) ? whole[name] : undefined;
        return found !== undefined && containsWithin(found, wanted);
      })
    );
  }
  return isSame(whole, part);
}

function isSame(one: unknown, other: unknown): boolean {
  return !isStructure(one) && !isStructure(other) && one === other;
}

function isStructure(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

function isObject(value: Json): value is { readonly [name: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
