/** Resolves or rejects as `work` does, unless `signal` fires before: then rejects with its reason. */
export async function unless<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason as Error);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', abort);
    // Whichever comes second was not waited for.
    promise.catch(() => undefined);
    work.catch(() => undefined);
  }
}
