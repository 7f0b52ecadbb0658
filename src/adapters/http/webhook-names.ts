import { type LookupAddress, promises as dns } from 'node:dns';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';

/** Every address of a name. Rejects, or finds none, if there is none; ends its questions when the signal fires. */
export type Resolve = (hostname: string, signal: AbortSignal) => Promise<readonly LookupAddress[]>;

export interface NameOptions {
  /** Instead of those that the system asks: `address:port`. */
  readonly servers?: readonly string[];
  readonly hostsFile?: string;
  readonly resolverFile?: string;
}

/** By c-ares each further try waits twice as long: 14 s in all, a little less than an attempt has by default. */
const asking = { timeout: 2_000, tries: 3 };
/** Some servers never answer what they are asked about IPv6: the other answer does not wait for that one for longer. */
const OTHER_ANSWER_MS = 1_000;

/**
 * Looks names up where the system does: in the hosts file, then with its name servers, as they are and then with each
 * domain of its search list. Not by `dns.lookup`: that takes one of libuv's four threads until the system gives up, which
 * no time-out of ours can end, and two consumers with silent name servers would hold up every look-up of the process.
 */
export function systemNames(options: NameOptions = {}): Resolve {
  const { servers, hostsFile = '/etc/hosts', resolverFile = '/etc/resolv.conf' } = options;
  return async (hostname, signal) => {
    const name = hostname.toLowerCase();
    const bare = name.replace(/\.$/, '');
    const listed = hostsNamed(bare, contentOf(hostsFile));
    if (listed.length > 0) return listed.map(toAddress);
    // They are no one's to answer for (RFC 6761).
    if (/(^|\.)localhost$/.test(bare)) return ['127.0.0.1', '::1'].map(toAddress);
    const domains = name === bare ? searchList(contentOf(resolverFile)) : [];
    let unknown: unknown;
    for (const full of [bare, ...domains.map((domain) => `${bare}.${domain}`)]) {
      const { found, failure } = await ask(full, servers, signal);
      if (found.length > 0) return found.map(toAddress);
      unknown ??= failure;
    }
    if (unknown === undefined) return [];
    throw unknown;
  };
}

interface Told {
  readonly found: readonly string[];
  /** That there is no such name; undefined where there is one, without an address. */
  readonly failure?: unknown;
}

/** Rejects where it was not told. */
async function ask(name: string, servers: readonly string[] | undefined, signal: AbortSignal): Promise<Told> {
  signal.throwIfAborted();
  const resolver = new dns.Resolver(asking);
  if (servers !== undefined) resolver.setServers(servers);
  const cancel = (): void => resolver.cancel();
  signal.addEventListener('abort', cancel);
  try {
    const questions = [resolver.resolve4(name), resolver.resolve6(name)];
    Promise.any(questions).then(
      () => setTimeout(cancel, OTHER_ANSWER_MS).unref(),
      () => undefined,
    );
    const answers = await Promise.allSettled(questions);
    const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (found.length > 0) return { found };
    const failures = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as unknown] : []));
    const untold = failures.find((failure) => !['ENOTFOUND', 'ENODATA'].includes(codeOf(failure)));
    if (untold !== undefined) throw untold;
    return { found, failure: failures.find((failure) => codeOf(failure) === 'ENOTFOUND') };
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

function codeOf(failure: unknown): string {
  return failure instanceof Error && 'code' in failure ? String(failure.code) : '';
}

function toAddress(address: string): LookupAddress {
  return { address, family: isIP(address) };
}

function hostsNamed(name: string, hosts: string): string[] {
  return wordsOf(hosts).flatMap(([address = '', ...names]) =>
    isIP(address) !== 0 && names.some((one) => one.toLowerCase() === name) ? [address] : [],
  );
}

/** Of several lists the last counts, and `.` stands for none. */
function searchList(resolver: string): string[] {
  const list = wordsOf(resolver).findLast(([keyword]) => keyword === 'search' || keyword === 'domain') ?? [];
  return list.slice(1).flatMap((domain) => domain.replace(/\.$/, '') || []);
}

function wordsOf(text: string): string[][] {
  return text.split('\n').map((line) => (line.split(/[#;]/, 1)[0] ?? '').split(/\s+/).filter((word) => word !== ''));
}

/** At once: reading asynchronously would wait for one of the same four threads. A file that is not there says nothing. */
function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
