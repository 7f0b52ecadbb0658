import { fileURLToPath } from 'node:url';
import type { DataConverter, PayloadCodec } from '@temporalio/common';
import { type KeyRing, parseKeyRing } from './key-ring.ts';
import { createPayloadCodec } from './payload-codec.ts';
import type { Config } from '../../config.ts';

/** Sources run as TypeScript; what is compiled runs as JavaScript. The SDK loads it by its path. */
const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
const FAILURE_CONVERTER = fileURLToPath(new URL(`../../workflows/failure-converter.${extension}`, import.meta.url));

export interface OurDataConverter extends DataConverter {
  readonly payloadCodecs: [PayloadCodec];
}

/** The keys of the settings; undefined without any. */
export function keyRingOf({ EVENKEEL_PAYLOAD_KEYS: keys }: Pick<Config, 'EVENKEEL_PAYLOAD_KEYS'>): KeyRing | undefined {
  return keys === undefined ? undefined : parseKeyRing(keys);
}

/**
 * For every client and worker of ours. Encrypts with the settings' first key; without any, payloads and the texts of
 * failures stay readable.
 */
export function dataConverterOf(config: Pick<Config, 'EVENKEEL_PAYLOAD_KEYS'>, namespace: string): OurDataConverter {
  const ring = keyRingOf(config);
  return {
    payloadCodecs: [createPayloadCodec(namespace, ring)],
    ...(ring === undefined ? {} : { failureConverterPath: FAILURE_CONVERTER }),
  };
}
