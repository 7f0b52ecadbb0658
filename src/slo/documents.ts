import { isNode, LineCounter, parseAllDocuments } from 'yaml';
import type { z } from 'zod';

/** A file, by whoever read it. */
export interface SourceFile {
  /** As people call it: `order-processing.yaml`. */
  readonly name: string;
  readonly text: string;
}

/** Where something stands: to be shown with what is wrong about it. */
export interface Place {
  readonly file: string;
  readonly line: number;
  /** `spec.objectives[0].target`; empty for a whole document. */
  readonly path: string;
}

export interface Finding extends Place {
  /** What is wrong, and what to do. */
  readonly detail: string;
}

/** One document of a file; YAML lets a file have several, between lines of `---`. */
export interface SourceDocument {
  readonly file: string;
  readonly value: unknown;
  /** Where the value at `path` stands; where it is missing, what should hold it. */
  place(path: readonly PropertyKey[]): Place;
}

/** `order-processing.yaml:27: spec.objectives[0].target: must be below 1`. */
export function inWords({ file, line, path, detail }: Finding): string {
  return `${file}:${line}: ${path === '' ? '' : `${path}: `}${detail}`;
}

/** The documents of a YAML file, empty ones left out, and what keeps it from being read. */
export function documentsOf({ name: file, text }: SourceFile): {
  readonly documents: readonly SourceDocument[];
  readonly findings: readonly Finding[];
} {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false });
  const lineAt = (offset: number): number => Math.max(1, lines.linePos(offset).line);
  const findings: Finding[] = [];
  const documents: SourceDocument[] = [];
  for (const document of parsed) {
    for (const { pos, message } of document.errors) {
      findings.push({ file, line: lineAt(pos[0]), path: '', detail: `is not YAML: ${message}` });
    }
    if (document.errors.length > 0 || document.contents === null) continue;
    const place = (path: readonly PropertyKey[]): Place => {
      for (let depth = path.length; depth >= 0; depth -= 1) {
        const node = depth === 0 ? document.contents : document.getIn(path.slice(0, depth), true);
        if (isNode(node)) return { file, line: lineAt(node.range?.[0] ?? 0), path: pathText(path) };
      }
      return { file, line: 1, path: pathText(path) };
    };
    documents.push({ file, value: document.toJS({ maxAliasCount: 100 }), place });
  }
  return { documents, findings };
}

/** `['spec', 'objectives', 0, 'target']` as people write it. */
export function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((part, at) => (typeof part === 'number' ? `[${part}]` : `${at > 0 ? '.' : ''}${String(part)}`))
    .join('');
}

/** Everything that a schema has against a document. */
export function findingsOf(error: z.ZodError, document: SourceDocument): readonly Finding[] {
  return error.issues.flatMap((issue): readonly Finding[] => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({
        ...document.place([...issue.path, key]),
        detail: 'is no field that is read here; leave it out',
      }));
    }
    return [{ ...document.place(issue.path), detail: detailOf(issue) }];
  });
}

function detailOf({ input, message }: z.core.$ZodIssue): string {
  if (input === undefined) return message.startsWith('Invalid') ? 'is missing' : message;
  const words = message.replace(/^(Invalid input|Invalid option|Invalid string): /, '');
  return typeof input === 'object' ? words : `${words}; got ${JSON.stringify(input)}`;
}
