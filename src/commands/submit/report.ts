import { open } from 'node:fs/promises';
import { describeReason, FileProblem, type Reason, type SourceLine } from './source.ts';

/** The lines of the file that are in no accepted order, each with why. */
export interface Report {
  readonly path: string;
  /** Resolves when the rows are with the operating system; rows that come together stay together. */
  add(lines: readonly SourceLine[], orderNumber: string, reason: Reason): Promise<void>;
  close(): Promise<void>;
}

/** Begins a new report, in the place of one that is there. Throws `FileProblem` if it cannot be written. */
export async function openReport(path: string): Promise<Report> {
  const handle = await open(path, 'w').catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw new FileProblem(`the report ${path} cannot be written (${why}): name another place with --report`);
  });
  // One after the other, whoever adds; after a failure every later one fails too.
  let written: Promise<unknown> = Promise.resolve();
  const write = async (lines: readonly (readonly string[])[]): Promise<void> => {
    const text = lines.map((fields) => `${fields.map(quoted).join(',')}\n`).join('');
    written = written.then(() => handle.appendFile(text));
    await written;
  };
  await write([['line', 'order', 'reason', 'content']]);
  return {
    path,
    add: (lines, orderNumber, reason) =>
      write(lines.map(({ line, content }) => [String(line), orderNumber, describeReason(reason), content])),
    close: () => handle.close(),
  };
}

function quoted(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}
