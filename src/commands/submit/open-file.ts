import { createReadStream, type ReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { FileProblem } from './source.ts';

export interface OrderFile {
  /** Reads from the start. Throws `FileProblem` if the file has changed since it was opened first. */
  read(): Promise<ReadStream>;
}

/** Looks at the file once, so that a second reading can tell whether it is still the same. */
export async function openFile(path: string): Promise<OrderFile> {
  const seen = await fingerprint(path);
  return {
    async read() {
      if ((await fingerprint(path)) !== seen)
        throw new FileProblem(`${path} has changed while it was read: start again`);
      return createReadStream(path);
    },
  };
}

async function fingerprint(path: string): Promise<string> {
  const found = await stat(path).catch((error: unknown) => {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    throw new FileProblem(missing ? `there is no file ${path}` : `${path} cannot be read: ${String(error)}`);
  });
  if (!found.isFile()) throw new FileProblem(`${path} is no plain file; it is read twice, so a pipe will not do`);
  return `${found.size}:${found.mtimeMs}:${found.ino}`;
}
