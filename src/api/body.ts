import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { JsonSyntaxError, parseJson } from './json.ts';
import { ApiProblem } from './problems.ts';

export const maxBodyBytes = 1024 * 1024;

/** Thrown when the caller went away while sending: there is nobody to answer. */
export class CallerGone extends Error {
  override readonly name = 'CallerGone';
}

/**
 * Reads the body's bytes, unchanged, for a signature may stand over them. Empty if there are none. Throws
 * `body_too_large` as soon as that is known, and not, as Express would, once the last byte has come;
 * `unsupported_media_type` for a compressed one, or `CallerGone`.
 */
export async function readBody(request: IncomingMessage, response: ServerResponse): Promise<Buffer> {
  const { 'content-encoding': encoding = 'identity', 'content-length': length = '0' } = request.headers;
  if (encoding.toLowerCase() !== 'identity') {
    throw new ApiProblem('unsupported_media_type', 'send the body without Content-Encoding: it must not be compressed');
  }
  if (Number(length) > maxBodyBytes) throw tooLarge();
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let bytes = 0;
  const gone = (cause?: Error): void =>
    reject(new CallerGone('the request ended before its body did', cause === undefined ? {} : { cause }));
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= maxBodyBytes) chunks.push(chunk);
    else {
      // What still comes is thrown away, until the server's time for a request is over.
      chunks.length = 0;
      reject(tooLarge());
    }
  });
  request.once('end', () => resolve(Buffer.concat(chunks)));
  request.once('error', gone);
  response.once('close', gone);
  return promise;
}

function tooLarge(): ApiProblem {
  return new ApiProblem('body_too_large', `the body must be at most ${maxBodyBytes} bytes (1 MiB)`);
}

/** The JSON value of a body. Throws `unsupported_media_type`, or `malformed_json` with the position. */
export function jsonOf(bytes: Buffer, headers: IncomingHttpHeaders): unknown {
  const type = headers['content-type'] ?? '';
  const [, mediaType = '', charset = 'utf-8'] = /^\s*([^;\s]*)(?:.*;\s*charset="?([^";\s]*))?/i.exec(type) ?? [];
  if (mediaType.toLowerCase() !== 'application/json' || !/^utf-?8$/i.test(charset)) {
    throw new ApiProblem(
      'unsupported_media_type',
      `the body must be JSON in UTF-8, sent with 'Content-Type: application/json'; got ${JSON.stringify(type)}`,
      { headers: { accept: 'application/json' } },
    );
  }
  try {
    return parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    if (error instanceof JsonSyntaxError) {
      const detail = bytes.length === 0 ? 'the body is empty; send a JSON object' : error.message;
      throw new ApiProblem('malformed_json', detail, { errors: [{ pointer: '', detail }], cause: error });
    }
    throw new ApiProblem('malformed_json', 'the body is not UTF-8', { cause: error });
  }
}
