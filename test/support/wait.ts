/**
 * Asks `look` again and again until it answers something, and resolves with that. `undefined` and `false` mean not yet;
 * what it throws ends the waiting. After `deadlineMs` it throws and says what it waited for, and what `instead` is there.
 */
export async function waitFor<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = 60_000,
  instead: () => unknown = () => 'nothing to show',
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) {
      throw new Error(`not within ${deadlineMs} ms: ${what}; instead: ${JSON.stringify(await instead())}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Does `work` for each of `items`, `atATime` of them at a time, and resolves with the results in their order. */
export async function pooled<T, R>(
  items: readonly T[],
  atATime: number,
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const queue = items.entries();
  const lane = async (): Promise<void> => {
    for (const [index, item] of queue) results[index] = await work(item, index);
  };
  await Promise.all(Array.from({ length: Math.min(atATime, items.length) }, lane));
  return results;
}
