import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { adviceRoutes } from './advice-routes.ts';
import { controlRoutes } from './control-routes.ts';
import { Faults } from './faults.ts';
import { type Route, router } from './http.ts';
import { providerRoutes } from './provider-routes.ts';
import { World } from './world.ts';

export interface SandboxOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Where its ledger lives; made if absent. Of one sandbox at a time. */
  readonly dataDir: string;
  /** Where the carrier reports to. Without it the messages wait until `PUT /carrier/settings` names one. */
  readonly callbackUrl?: string | undefined;
  readonly callbackSecret: string;
  /** From booking to dispatch, from dispatch to delivery; -1: only by hand. */
  readonly dispatchAfterMs: number;
  readonly deliverAfterMs: number;
}

export interface Sandbox {
  /**
   * `http://host:port`: the base URL of the payment gateway, the carrier and the risk service alike. A second payment
   * gateway is at `/second` below it, with a ledger and faults of its own.
   */
  readonly url: string;
  /** Rejects when its disk fails it: stop it then. */
  readonly failed: Promise<never>;
  /** Cuts all connections, keeps what happened, frees the port. */
  stop(): Promise<void>;
}

/** Thrown where it cannot listen: names the address and what to do. */
export class SandboxError extends Error {
  override readonly name = 'SandboxError';
}

/** Starts the pretend world and resolves once it listens. Throws `SandboxError` or `JournalError`. */
export async function startSandboxServer(options: SandboxOptions): Promise<Sandbox> {
  const { host, port, dataDir, callbackUrl, callbackSecret, dispatchAfterMs, deliverAfterMs } = options;
  const world = await World.open({
    journalPath: join(dataDir, 'ledger.ndjson'),
    callbackUrl,
    callbackSecret,
    dispatchAfterMs,
    deliverAfterMs,
  });
  const second = await World.open({
    journalPath: join(dataDir, 'second-ledger.ndjson'),
    callbackUrl: undefined,
    callbackSecret,
    dispatchAfterMs: -1,
    deliverAfterMs: -1,
  });
  const faults = new Faults();
  const server = createServer(
    // Longer than clients keep an idle connection, so that it is never closed under a request.
    { keepAliveTimeout: 75_000 },
    router([
      ...providerRoutes(world, faults),
      ...adviceRoutes(faults),
      ...controlRoutes(world, faults),
      ...secondGateway(second),
    ]),
  );
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    await world.close();
    await second.close();
    throw new SandboxError(`cannot listen on ${host}:${port}: ${String(error)}; choose another --port`, {
      cause: error,
    });
  }
  const failed = Promise.race([world.failed, second.failed]);
  // Whoever is to know asks for it; nobody may be there to.
  failed.catch(() => undefined);
  return {
    url: urlOf(server.address() as AddressInfo),
    failed,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
      await world.close();
      await second.close();
    },
  };
}

function secondGateway(world: World): Route[] {
  const faults = new Faults();
  const payments = providerRoutes(world, faults).filter(({ path }) => path.startsWith('/payments/'));
  return [...payments, ...controlRoutes(world, faults)].map((route) => ({ ...route, path: `/second${route.path}` }));
}

function urlOf({ address, port, family }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
