import type { Agent, Dispatcher } from 'undici';

export interface Posted {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** What was heard of an answer, complete or not. */
export interface Heard {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  /** As it came, whatever its encoding: not all of it, but its beginning. */
  readonly chunks: Buffer[];
  bytes: number;
}

export interface Exchange {
  /** Whether it got a connection: without one, nothing was sent. */
  readonly wasSent: boolean;
  readonly heard: Heard | undefined;
  /** Why there is no complete answer. Undefined if there is one, or one that was cut off at the limit. */
  readonly broke: unknown;
}

/**
 * Posts once and reads the answer, at most `limitBytes` of it. Never rejects, and resolves as soon as `signal` fires:
 * `request()` of undici would wait until there is a connection. What was given up before is not sent later.
 */
export function exchange(
  agent: Agent,
  { url, headers, body }: Posted,
  limitBytes: number,
  signal: AbortSignal,
): Promise<Exchange> {
  const { promise, resolve } = Promise.withResolvers<Exchange>();
  let controller: Dispatcher.DispatchController | undefined;
  let heard: Heard | undefined;
  const end = (broke?: unknown): void => {
    signal.removeEventListener('abort', giveUp);
    resolve({ wasSent: controller !== undefined, heard, broke });
  };
  const giveUp = (): void => {
    end(signal.reason);
    controller?.abort(new Error('given up'));
  };
  if (signal.aborted) {
    end(signal.reason);
    return promise;
  }
  signal.addEventListener('abort', giveUp);
  agent.dispatch(
    { origin: url.origin, path: `${url.pathname}${url.search}`, method: 'POST', headers, body },
    {
      onRequestStart(begun) {
        if (signal.aborted) begun.abort(new Error('given up'));
        else controller = begun;
      },
      onResponseStart(_, status, answered) {
        // Below are hints that an answer is to come.
        if (status >= 200) heard = { status, headers: answered, chunks: [], bytes: 0 };
      },
      onResponseData(_, chunk) {
        if (heard === undefined) return;
        heard.chunks.push(chunk);
        heard.bytes += chunk.length;
        if (heard.bytes <= limitBytes) return;
        end();
        controller?.abort(new Error('longer than is read'));
      },
      onResponseEnd: () => end(),
      onResponseError: (_, error) => end(error),
    },
  );
  return promise;
}
