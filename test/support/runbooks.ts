/** The runbooks as they are written: their sections, and the blocks that somebody would copy from them. */
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../../ops/runbooks/', import.meta.url));

export interface Runbook {
  readonly name: string;
  readonly text: string;
}

export interface Block {
  readonly runbook: string;
  readonly language: string;
  readonly code: string;
}

/** A fence, in a list or not: as deep as it begins it ends. */
const fence = /^(?<indent> *)```(?<language>\w*)\n(?<content>[^]*?)^\k<indent>```$/gm;

export function readRunbooks(): Runbook[] {
  return globSync('*.md', { cwd: folder })
    .toSorted()
    .map((file) => ({ name: basename(file, '.md'), text: readFileSync(join(folder, file), 'utf8') }));
}

/** The text under a heading of the second level. */
export function sectionsOf({ text }: Runbook): ReadonlyMap<string, string> {
  const [, ...parts] = text.split(/^## /m);
  return new Map(parts.map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)]));
}

/** All fenced blocks of a text, without the indentation that a list gave them. */
export function blocksOf(runbook: string, text: string): Block[] {
  return [...text.matchAll(fence)].map(({ groups: { indent = '', language = '', content = '' } = {} }) => ({
    runbook,
    language,
    code: content.replaceAll(new RegExp(`^${indent}`, 'gm'), '').trim(),
  }));
}

/** Every block of a language, of all runbooks. */
export function allBlocks(language: string): Block[] {
  return readRunbooks()
    .flatMap(({ name, text }) => blocksOf(name, text))
    .filter((block) => block.language === language);
}

/** What stands in `code` in a text, fenced blocks left out. */
export function codeSpansOf(text: string): string[] {
  return [...text.replaceAll(fence, '').matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span);
}
