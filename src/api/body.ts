import type { IncomingHttpHeaders } from 'node:http';
import express, { type Request, type Response } from 'express';
import { JsonSyntaxError, parseJson } from './json.ts';
import { ApiProblem } from './problems.ts';

export const maxBodyBytes = 1024 * 1024;

const readRaw = express.raw({ type: () => true, limit: maxBodyBytes, inflate: false });

/** Thrown when the caller went away while sending: there is nobody to answer. */
export class CallerGone extends Error {
  override readonly name = 'CallerGone';
}

/**
 * Reads the body's bytes, unchanged, for a signature may stand over them. Empty if there are none. Throws
 * `body_too_large`, `unsupported_media_type` for a compressed one, or `CallerGone`.
 */
export async function readBody(request: Request, response: Response): Promise<Buffer> {
  await new Promise<void>((resolve, reject) => {
    readRaw(request, response, (error: unknown) => (error === undefined ? resolve() : reject(translate(error))));
  });
  const body: unknown = request.body;
  return Buffer.isBuffer(body) ? body : Buffer.alloc(0);
}

function translate(error: unknown): unknown {
  const kind = typeof error === 'object' && error !== null && 'type' in error ? error.type : undefined;
  switch (kind) {
    case 'entity.too.large':
      return new ApiProblem('body_too_large', `the body must be at most ${maxBodyBytes} bytes (1 MiB)`);
    case 'encoding.unsupported':
      return new ApiProblem(
        'unsupported_media_type',
        'send the body without Content-Encoding: it must not be compressed',
      );
    case 'request.aborted':
    case 'request.size.invalid':
      return new CallerGone('the request ended before its body did', { cause: error });
    default:
      return error;
  }
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
