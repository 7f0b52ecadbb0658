import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Effect } from '../../src/sandbox/facts.ts';
import type { Fault } from '../../src/sandbox/faults.ts';
import type { OrderSummary } from '../../src/sandbox/ledger.ts';
import { startSandboxServer } from '../../src/sandbox/server.ts';

type FaultScript = Pick<Fault, 'dependency' | 'kind'> & Partial<Omit<Fault, 'id' | 'hits'>>;

/** A secret long enough for every setting that asks for one. */
export const callbackSecret = 'a secret of the tests';

/** A pretend world reached over HTTP, wherever it runs. */
export interface SandboxClient {
  readonly url: string;
  /** The effects that really happened, of all orders or of one. */
  readonly ledger: (filter?: { kind?: Effect['kind']; orderId?: string }) => Promise<Effect[]>;
  readonly summary: () => Promise<OrderSummary[]>;
  readonly addFault: (fault: FaultScript) => Promise<Fault>;
  readonly faults: () => Promise<Fault[]>;
  readonly clearFaults: () => Promise<void>;
  /** Moves a shipment on now. Rejects with the sandbox's reason if it cannot move so. */
  readonly dispatch: (shipmentId: string) => Promise<void>;
  readonly deliver: (shipmentId: string) => Promise<void>;
  readonly configure: (settings: {
    dispatchAfterMs?: number;
    deliverAfterMs?: number;
    callbackUrl?: string;
  }) => Promise<void>;
}

export interface TestSandbox extends SandboxClient {
  readonly dataDir: string;
  readonly stop: () => Promise<void>;
}

/**
 * Starts a sandbox in this process on a real socket, by default in a folder of its own that goes with it, with a carrier
 * that moves only by hand.
 */
export async function startSandbox(
  options: {
    dataDir?: string;
    port?: number;
    callbackUrl?: string;
    callbackSecret?: string;
    dispatchAfterMs?: number;
    deliverAfterMs?: number;
  } = {},
): Promise<TestSandbox> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'evenkeel-sandbox-')));
  const server = await startSandboxServer({
    host: '127.0.0.1',
    port: 0,
    callbackSecret,
    dispatchAfterMs: -1,
    deliverAfterMs: -1,
    ...options,
    dataDir,
  });
  return {
    ...sandboxClient(server.url),
    dataDir,
    async stop() {
      await server.stop();
      if (options.dataDir === undefined) await rm(dataDir, { recursive: true });
    },
  };
}

export function sandboxClient(url: string): SandboxClient {
  async function call(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`${url}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  }
  const data = async <T>(path: string): Promise<T[]> => ((await call('GET', path)) as { data: T[] }).data;

  return {
    url,
    ledger: (filter = {}) => data<Effect>(`/ledger?${new URLSearchParams(filter).toString()}`),
    summary: () => data<OrderSummary>('/ledger/summary'),
    addFault: async (fault) => (await call('POST', '/faults', fault)) as Fault,
    faults: () => data<Fault>('/faults'),
    async clearFaults() {
      await call('DELETE', '/faults');
    },
    async dispatch(shipmentId) {
      await call('POST', `/carrier/shipments/${shipmentId}/dispatch`);
    },
    async deliver(shipmentId) {
      await call('POST', `/carrier/shipments/${shipmentId}/deliver`);
    },
    async configure(settings) {
      await call('PUT', '/carrier/settings', settings);
    },
  };
}
