/**
 * Where webhooks may go. The API asks `targetProblem` before it keeps a URL; the sender asks again before each attempt,
 * and `addressProblem` about every address that it is about to connect to. Only the latter sees what a name stands for.
 */
import { type Network, contains, notPublic, parseAddress, parseNetwork, unmapped } from './ip-address.ts';

/** As URLs give them: nothing is the scheme's own port. */
const publicPorts: ReadonlySet<string> = new Set(['', '8443']);

const notPlain = 'only https on port 443 or 8443 goes to the public internet';
const howToAllow = 'the operator can allow its network with EVENKEEL_WEBHOOK_NETWORKS';

/**
 * Why webhooks may not go to `url`, and what to do about it, in words that go on from "the URL …"; undefined if they may.
 * `networks` (CIDR) are allowed beside the public internet, over http and any port too; whether a name leads there is
 * known only when it is connected to. Throws `RangeError` for a network that is none. Never quotes path or query, which
 * may hold secrets.
 */
export function targetProblem(url: string, networks: readonly string[]): string | undefined {
  const parsed = URL.parse(url);
  if (parsed === null) return 'is no URL; give one such as https://shop.example/webhooks';
  return originProblem(parsed, networks.map(parseNetwork));
}

/** As `targetProblem`, of what is parsed already. */
export function originProblem(url: URL, allowed: readonly Network[]): string | undefined {
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return `must begin with https://, not ${url.protocol}`;
  if (url.username !== '' || url.password !== '') {
    return 'must not contain a user or a password; deliveries prove where they come from by their signature';
  }
  if (url.hash !== '') return 'must not contain a fragment (#…), which is never sent';
  const literal = literalOf(url);
  if (literal !== undefined) {
    const problem = addressProblem(literal, url, allowed);
    return problem === undefined ? undefined : `must not go there: ${problem}`;
  }
  if (isPublicOrigin(url) || allowed.length > 0) return undefined;
  return `must be https on port 443 or 8443; for anything else, ${howToAllow}`;
}

/** The address that stands in a URL instead of a name, as text. URL has brought every way to write one into one form. */
export function literalOf({ hostname }: URL): string | undefined {
  const text = hostname.replace(/^\[(.*)\]$/, '$1');
  return parseAddress(text) === undefined ? undefined : text;
}

/** Why no connection for `origin` may be made to `address`, in words; undefined if it may. What is no address may not. */
export function addressProblem(address: string, origin: URL, allowed: readonly Network[]): string | undefined {
  const parsed = parseAddress(address);
  if (parsed === undefined) return `${address} is no address that can be checked`;
  const target = unmapped(parsed);
  if (allowed.some((network) => contains(network, target))) return undefined;
  const why = notPublic(target) ?? (isPublicOrigin(origin) ? undefined : notPlain);
  return why === undefined ? undefined : `${address} is refused, because ${why}; ${howToAllow}`;
}

function isPublicOrigin({ protocol, port }: URL): boolean {
  return protocol === 'https:' && publicPorts.has(port);
}
