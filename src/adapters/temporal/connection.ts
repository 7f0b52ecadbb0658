import { Client, type ClientInterceptors } from '@temporalio/client';
import { NativeConnection, type NativeConnectionOptions } from '@temporalio/worker';
import type { WiredConfig } from '../../config.ts';
import { type OurDataConverter, dataConverterOf } from './data-converter.ts';
import { lazyConnection } from './lazy-connection.ts';
import { temporalProfile } from './profile.ts';
import { type ProbeResult, probeTls } from './tls-probe.ts';

export interface Temporal {
  readonly client: Client;
  readonly namespace: string;
  /** Only where a worker shares it. */
  readonly native: NativeConnection | undefined;
  /** What a worker on this connection must use too. */
  readonly dataConverter: OurDataConverter;
  /** Asks for its certificate, or why it has none for us: undefined where that finds nothing. Never rejects. */
  probe(): Promise<ProbeResult | undefined>;
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
  const { connectionOptions, namespace = 'default' } = temporalProfile({
    ...config.temporalEnv,
    TEMPORAL_ADDRESS: config.TEMPORAL_ADDRESS,
  });
  const dataConverter = dataConverterOf(config, namespace);
  const probe = () => probeTls(connectionOptions);
  if (use === 'worker') {
    const native = await NativeConnection.connect(connectionOptions).catch(async (error: unknown) => {
      throw await unreachable(connectionOptions, error);
    });
    return {
      client: new Client({ connection: native, namespace, interceptors, dataConverter }),
      namespace,
      native,
      dataConverter,
      probe,
      close: () => native.close(),
    };
  }
  const lazy = lazyConnection(connectionOptions);
  return {
    client: new Client({ connection: lazy.connection, namespace, interceptors, dataConverter }),
    namespace,
    native: undefined,
    dataConverter,
    probe,
    close: () => lazy.close(),
  };
}

/** Thrown where Temporal cannot be reached; says which setting has a say in it. */
export class TemporalUnreachable extends Error {
  override readonly name = 'TemporalUnreachable';
}

async function unreachable(options: NativeConnectionOptions, cause: unknown): Promise<TemporalUnreachable> {
  const probed = await probeTls(options);
  const said = cause instanceof Error ? cause.message : String(cause);
  const why = probed !== undefined && 'problem' in probed ? `${probed.problem} (${said})` : said;
  return new TemporalUnreachable(`Temporal at ${options.address}: ${why}`, { cause });
}
