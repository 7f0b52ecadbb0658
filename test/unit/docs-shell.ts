/** Reads the shell commands that stand in the documents: as much of the shell's grammar as they use, and no more. */

/**
 * The commands of a script as lists of words: pipes, `&&`, `;`, line ends and `$(…)` part them; quotes, continued lines,
 * comments, redirections and here-documents are understood. Variables stay as they are written.
 */
export function commandsOf(script: string): string[][] {
  const commands: string[][] = [];
  let words: string[] = [];
  for (const token of tokens(withoutHereDocuments(script))) {
    if (token.kind === 'word') words.push(token.text);
    else {
      if (words.length > 0) commands.push(words);
      words = [];
    }
  }
  return commands;
}

/** `NAME=value` before a command's name, and what follows. */
export function splitAssignments(words: readonly string[]): { readonly set: string[]; readonly command: string[] } {
  const first = words.findIndex((word) => !/^\w+=/.test(word));
  const end = first === -1 ? words.length : first;
  const set = words.slice(0, end).map((word) => word.slice(0, word.indexOf('=')));
  return { set, command: words.slice(end) };
}

function withoutHereDocuments(script: string): string {
  return script.replace(/<<'?(\w+)'?(.*)\n[^]*?\n\1(?=\n|$)/g, '$2');
}

interface Token {
  readonly kind: 'word' | 'end';
  readonly text: string;
}

/** A blank, a quoted piece, a piece of a word, or what ends a command; in this order of trying. */
const piece =
  /(?<blank>\\\n|[ \t]+|#[^\n]*)|'(?<single>[^']*)'|"(?<double>(?:\\.|[^"])*)"|(?<end>&&|\|\||\n|;|\||\$\(|\))|(?<redirect>\d?>+\s*\S+)|(?<plain>(?:\\.|[^\s'"|;&>$()\\]|\$(?!\())+)/gy;

function tokens(script: string): Token[] {
  const found: Token[] = [];
  let word: string | undefined;
  const close = (): void => {
    if (word !== undefined) found.push({ kind: 'word', text: word });
    word = undefined;
  };
  let read = 0;
  for (const { 0: whole, index, groups = {} } of `${script}\n`.matchAll(piece)) {
    read = index + whole.length;
    const { single, double, plain } = groups;
    const text = single ?? double?.replace(/\\(["\\$])/g, '$1') ?? plain?.replace(/\\(.)/g, '$1');
    if (text !== undefined) word = `${word ?? ''}${text}`;
    else close();
    if (groups['end'] !== undefined) found.push({ kind: 'end', text: whole });
  }
  if (read !== script.length + 1) throw new Error(`what does the shell make of this? ${script.slice(read, read + 60)}`);
  return found;
}
