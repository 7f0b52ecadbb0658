import { Client, type ClientInterceptors } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { NativeConnection } from '@temporalio/worker';
import type { WiredConfig } from '../../config.ts';
import { lazyConnection } from './lazy-connection.ts';

export interface Temporal {
  readonly client: Client;
  readonly namespace: string;
  /** Only where a worker shares it. */
  readonly native: NativeConnection | undefined;
  close(): Promise<void>;
}

/**
 * Connects to Temporal. `worker` connects now and fails if it is away; a `client` connects when it first has something
 * to say, so that the API starts and takes orders while Temporal is down.
 */
export async function connectTemporal(
  config: WiredConfig,
  use: 'worker' | 'client',
  interceptors: ClientInterceptors,
): Promise<Temporal> {
  const { connectionOptions, namespace = 'default' } = loadClientConnectConfig({
    overrideEnvVars: { ...config.temporalEnv, TEMPORAL_ADDRESS: config.TEMPORAL_ADDRESS },
  });
  if (use === 'worker') {
    const native = await NativeConnection.connect(connectionOptions);
    return {
      client: new Client({ connection: native, namespace, interceptors }),
      namespace,
      native,
      close: () => native.close(),
    };
  }
  const lazy = lazyConnection(connectionOptions);
  return {
    client: new Client({ connection: lazy.connection, namespace, interceptors }),
    namespace,
    native: undefined,
    close: () => lazy.close(),
  };
}
