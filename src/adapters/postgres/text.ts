/** PostgreSQL keeps any text but NUL characters, and takes no half of a surrogate pair, in JSON not even escaped. */
export function storable(text: string): string {
  return text.replaceAll('\u0000', '').toWellFormed();
}
