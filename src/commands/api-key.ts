import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, readConfig } from '../config.ts';
import type { CommandIo } from './command.ts';

/** What a command is let in by, and where it comes from, for when it is refused. */
export interface ApiKey {
  readonly text: string;
  readonly from: string;
}

/**
 * The key for the API at `url`: that of the settings or, on this machine alone, the one that `evenkeel start` made.
 * Undefined where there is none. Throws `ConfigError` for one that cannot be a key, without showing it.
 */
export function apiKey(url: URL, { env }: Pick<CommandIo, 'env'>): ApiKey | undefined {
  const { EVENKEEL_API_KEY: configured, EVENKEEL_DATA_DIR: dataDir } = readConfig(env);
  if (configured !== undefined) return checked({ text: configured, from: 'EVENKEEL_API_KEY' });
  // It is an admin's: nobody elsewhere gets to see it.
  if (!isLoopback(url)) return undefined;
  const file = join(dataDir, 'dev-key');
  const text = read(file);
  return text === undefined ? undefined : checked({ text: text.trim(), from: file });
}

function checked(key: ApiKey): ApiKey {
  if (/^[\x21-\x7e]+$/.test(key.text)) return key;
  throw new ConfigError(`${key.from} holds no API key: it has spaces or other characters that no key has, or nothing.`);
}

function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    // Nobody started it here, or it was somebody else: the API says what it wants.
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code !== 'ENOENT' && code !== 'EACCES') throw error;
    return undefined;
  }
}
