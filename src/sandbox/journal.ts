import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Thrown where the file cannot be used: it names the place and what to do. */
export class JournalError extends Error {
  override readonly name = 'JournalError';
}

/**
 * An append-only file of facts, one JSON line each, that survives kill -9: `flushed` resolves once all that was
 * appended before is on disk. Facts that arrive while a flush runs share the next one (group commit), so that the rate
 * is not bound by the disk's syncs. A file and not node:sqlite, which is still experimental in Node 24 and says so on
 * standard error at every start; the state is small enough to be read back whole.
 *
 * One process at a time may have the file open.
 */
export class Journal<T> {
  /** Rejects when the disk refused a write. From then on nothing is kept, so the owner must end. */
  readonly failed: Promise<never>;
  readonly #handle: FileHandle;
  readonly #path: string;
  readonly #fail: (error: JournalError) => void;
  #pending = '';
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  private constructor(handle: FileHandle, path: string) {
    this.#handle = handle;
    this.#path = path;
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => undefined);
    this.failed = promise;
    this.#fail = reject;
  }

  /**
   * Opens the file, or makes it with its folder, and returns the facts in it. A last line that a crash cut off was
   * never acknowledged to anybody: it is dropped. Throws `JournalError` for a file that cannot be opened, or a line that
   * `parse` does not accept.
   */
  static async open<T>(path: string, parse: (json: unknown) => T): Promise<{ journal: Journal<T>; facts: T[] }> {
    const handle = await openFile(path);
    try {
      const bytes = await handle.readFile();
      const end = bytes.lastIndexOf('\n') + 1;
      if (end < bytes.length) await handle.truncate(end);
      await handle.datasync();
      await syncFolder(dirname(path));
      const lines = bytes.subarray(0, end).toString('utf8').split('\n').slice(0, -1);
      const facts = lines.map((line, index) => parseLine(line, parse, `${path}:${index + 1}`));
      return { journal: new Journal<T>(handle, path), facts };
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  append(fact: T): void {
    this.#pending += `${JSON.stringify(fact)}\n`;
    if (this.#next) return;
    this.#next = this.#running.then(() => this.#flush());
    this.#next.catch((error: unknown) =>
      this.#fail(new JournalError(`cannot write ${this.#path}: ${String(error)}; make room and start again`)),
    );
  }

  /** Resolves when everything appended so far is on disk. Rejects if it could not be written. */
  async flushed(): Promise<void> {
    await (this.#next ?? this.#running);
  }

  async close(): Promise<void> {
    await this.flushed().catch(() => undefined);
    await this.#handle.close();
  }

  async #flush(): Promise<void> {
    const batch = this.#pending;
    this.#pending = '';
    this.#running = this.#next ?? this.#running;
    this.#next = undefined;
    await this.#handle.appendFile(batch);
    await this.#handle.datasync();
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    await mkdir(dirname(path), { recursive: true });
    return await open(path, 'a+');
  } catch (error) {
    throw new JournalError(`cannot open ${path}: ${String(error)}; choose a folder that can be written to`, {
      cause: error,
    });
  }
}

function parseLine<T>(line: string, parse: (json: unknown) => T, place: string): T {
  try {
    return parse(JSON.parse(line));
  } catch (error) {
    throw new JournalError(`${place} is damaged: move the file away to begin a new one`, { cause: error });
  }
}

/** A new file's name is durable only once its folder is. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
