/** Resolves when all are done, or after `ms` milliseconds. Rejects if one of them does before. */
export async function within(ms: number, all: Iterable<Promise<void>>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  try {
    await Promise.race([Promise.all(all), promise]);
  } finally {
    clearTimeout(timer);
  }
}
