import { readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf } from './parts-error.ts';
import { run } from './run.ts';

export interface SdkDownload {
  readonly kind: 'dev-server' | 'time-skipping';
  /** A release such as `v1.5.1`, or `default`: the one that belongs to the SDK's version. */
  readonly version: string;
  /** An empty folder. */
  readonly folder: string;
  readonly report: (line: string) => void;
  readonly signal: AbortSignal;
}

/** In a closed network a connection may hang for ever: without a byte for this long it is given up. */
const STALLED_MS = 20_000;

/**
 * Lets the Temporal SDK download an executable, and resolves with its path. Throws with the reason if it cannot. In a
 * process of its own: the SDK's runtime can be set up once in a process, and that is for the application to do.
 */
export async function sdkDownload({ kind, version, folder, report, signal }: SdkDownload): Promise<string> {
  const main = fileURLToPath(new URL(`sdk-download-main${extname(import.meta.url)}`, import.meta.url));
  const stalled = new AbortController();
  let [bytes, since] = [0, performance.now()];
  const look = async (): Promise<void> => {
    const size = await sizeOf(folder);
    if (size > bytes) {
      [bytes, since] = [size, performance.now()];
      report(`downloading: ${Math.round(size / 1024 / 1024)} MB so far`);
    } else if (performance.now() - since > STALLED_MS) {
      stalled.abort(new Error(`nothing came for ${STALLED_MS / 1_000} s`));
    }
  };
  const watch = setInterval(() => void look(), 2_000);
  try {
    const { code, output } = await run(process.execPath, [main, kind, version, folder], {
      signal: AbortSignal.any([signal, stalled.signal]),
    });
    if (code !== 0) throw new Error(output.split('\n').slice(-3).join(' ') || `exit code ${code}`);
  } catch (error) {
    throw new Error(messageOf(error), { cause: error });
  } finally {
    clearInterval(watch);
  }
  const [file] = await readdir(folder);
  if (file === undefined) throw new Error('the SDK left no file');
  return join(folder, file);
}

async function sizeOf(folder: string): Promise<number> {
  const files = await readdir(folder).catch(() => []);
  // A file that was renamed meanwhile counts at the next look.
  const sizes = await Promise.all(
    files.map((file) =>
      stat(join(folder, file)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
