export interface Remembered<T> {
  has(key: string): boolean;
  /** What is remembered of the key, or what `make` makes of it from now on. */
  get(key: string, make: () => T): T;
}

/** Remembers something of `most` keys: of more than that, it forgets the one that was not asked for the longest. */
export function createRemembered<T>(most: number): Remembered<T> {
  // A Map keeps the order in which its keys came.
  const known = new Map<string, T>();
  return {
    has: (key) => known.has(key),
    get(key, make) {
      const value = known.get(key) ?? make();
      known.delete(key);
      const [oldest] = known.keys();
      if (known.size >= most && oldest !== undefined) known.delete(oldest);
      known.set(key, value);
      return value;
    },
  };
}
