/**
 * Does `work` on each item, at most `concurrency` at a time. Takes no further item once `signal` fires or a work has
 * failed; always waits for those in flight, then throws the first failure.
 */
export async function forEachBounded<T>(
  items: AsyncIterable<T> | Iterable<T>,
  { concurrency, signal }: { readonly concurrency: number; readonly signal: AbortSignal },
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  const failures: unknown[] = [];
  const going = (): boolean => failures.length === 0 && !signal.aborted;
  async function worker(): Promise<void> {
    try {
      while (going()) {
        const next = await iterator.next();
        if (next.done === true || !going()) return;
        await work(next.value);
      }
    } catch (error) {
      failures.push(error);
    }
  }
  await Promise.all(Array.from({ length: concurrency }, worker));
  await iterator.return?.();
  if (failures.length > 0) throw failures[0];
}
