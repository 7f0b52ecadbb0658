import type { LookupAddress } from 'node:dns';
import { isIP } from 'node:net';
import { callbackify } from 'node:util';
import { Agent, Pool, buildConnector } from 'undici';
import type { Network } from '../../domain/ip-address.ts';
import { addressProblem } from '../../domain/webhook-url.ts';
import { type Resolve, systemNames } from './webhook-names.ts';

export interface ConnectorOptions {
  /** For a connection to be made, in milliseconds; a look-up on its own ends by then too. */
  readonly timeoutMs: number;
  readonly allowed: readonly Network[];
  readonly resolve?: Resolve | undefined;
  /** Ends the look-ups that are under way. */
  readonly closed?: AbortSignal | undefined;
}

/** The connection would have gone where webhooks may not go; the message says where and why. */
export class AddressRefused extends Error {
  override readonly name = 'AddressRefused';
}

export class NotResolved extends Error {
  override readonly name = 'NotResolved';
}

/**
 * Connections that go where webhooks may go and nowhere else, kept alive and pooled by origin. The check is part of
 * making the connection: one look-up, of which every address must be fine, and the socket gets these very addresses, so
 * that no later answer of a name server can lead elsewhere. No variable of the environment makes it use a proxy, and
 * none makes it trust any certificate.
 */
export function guardedAgent(options: ConnectorOptions): Agent {
  const lookup = shared(options);
  return new Agent({
    factory: (origin) =>
      new Pool(origin, {
        connect: guardedConnector(new URL(origin), options, lookup),
        pipelining: 1,
        // Shorter than servers keep an idle connection (5 s is a common default), so that none is used just as it is
        // closed; one that says how long it keeps them is believed, less undici's two seconds of margin.
        keepAliveTimeout: 4_000,
        keepAliveMaxTimeout: 60_000,
        // Or a consumer that is never idle would be served at its old address for ever.
        clientTtl: 5 * 60_000,
        // Each attempt has its own time-out over all of it.
        headersTimeout: 0,
        bodyTimeout: 0,
      }),
  });
}

function guardedConnector(
  origin: URL,
  { timeoutMs, allowed }: ConnectorOptions,
  addressesOf: Lookup,
): buildConnector.connector {
  const check = (address: string): void => {
    const problem = addressProblem(address, origin, allowed);
    if (problem !== undefined) throw new AddressRefused(problem);
  };
  const checkedAddresses = async (hostname: string): Promise<LookupAddress[]> => {
    const addresses = await addressesOf(hostname).catch((error: unknown) => {
      throw new NotResolved(`the name ${hostname} cannot be resolved`, { cause: error });
    });
    if (addresses.length === 0) throw new NotResolved(`the name ${hostname} has no address`);
    for (const { address } of addresses) check(address);
    return [...addresses];
  };
  const lookup = callbackify(checkedAddresses);
  const connect = buildConnector({
    timeout: timeoutMs,
    allowH2: false,
    rejectUnauthorized: true,
    autoSelectFamily: true,
    lookup: (hostname, _options, callback) => {
      lookup(hostname, (error, addresses) => callback(error, error === null ? addresses : []));
    },
  });
  return (options, callback) => {
    try {
      // What is an address is connected to without any look-up.
      if (isIP(options.hostname) !== 0) check(options.hostname);
    } catch (error) {
      queueMicrotask(() => callback(error as Error, null));
      return;
    }
    connect(options, callback);
  };
}

type Lookup = (hostname: string) => Promise<readonly LookupAddress[]>;

/** One look-up of a name at a time, for all who wait for it. */
function shared({ timeoutMs, resolve = systemNames(), closed }: ConnectorOptions): Lookup {
  const underWay = new Map<string, Promise<readonly LookupAddress[]>>();
  return (hostname) => {
    const known = underWay.get(hostname);
    if (known) return known;
    const inTime = AbortSignal.timeout(timeoutMs);
    const over = closed === undefined ? inTime : AbortSignal.any([inTime, closed]);
    const lookup = resolve(hostname, over).finally(() => underWay.delete(hostname));
    underWay.set(hostname, lookup);
    return lookup;
  };
}
