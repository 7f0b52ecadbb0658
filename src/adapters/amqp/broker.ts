import { EventEmitter, once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import { type ChannelModel, type ConfirmChannel, type RecoveringChannelModel, connect } from 'amqplib';
import { readAllHeaders } from './header-frames.ts';
import { reconnection } from './reconnection.ts';

/** A connection to RabbitMQ that mends itself. */
export interface Broker {
  /** Whether it is connected: resolves if so, rejects with `BrokerUnavailable` and the reason if not. */
  check(): Promise<void>;
  /**
   * A new channel with publisher confirms; closing it is up to whoever asked. Rejects at once with `BrokerUnavailable`
   * while there is no connection; only the first attempt to get one is waited for.
   */
  channel(): Promise<ConfirmChannel>;
  /** Resolves once it is connected; rejects when `signal` fires. */
  connected(signal: AbortSignal): Promise<void>;
  /** Why the broker takes no messages at the moment, such as `low on disk`; undefined if it does. */
  readonly blocked: string | undefined;
  /** When the certificate ends that the broker shows on this connection; undefined without TLS or a connection. */
  certificateExpiresAt(): Date | undefined;
  /** Another connection to the same, so that what ends one leaves the other alone; `close` closes it too. */
  apart(use: string): Broker;
  /** Closes the connection and all its channels, for good and within a few seconds. */
  close(): Promise<void>;
}

export interface BrokerOptions {
  /** Told of the connection's comings and goings. */
  readonly report?: (line: string, error?: Error) => void;
  /** What it is for, as the broker shows it beside our name. */
  readonly use?: string;
  /** For amqps; without it the authorities that Node trusts. */
  readonly tls?: BrokerTls;
}

/** Paths of files in PEM. */
export interface BrokerTls {
  /** The authority that the broker's certificate is by. */
  readonly caFile?: string | undefined;
  /** Our own certificate and its key, for a broker that asks for one; both or neither. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

/** Thrown for files of `BrokerTls` that cannot be used. */
export class BrokerTlsError extends Error {
  override readonly name = 'BrokerTlsError';
}

/** There is no connection, or it broke before the answer. The same may do in a moment. */
export class BrokerUnavailable extends Error {
  override readonly name = 'BrokerUnavailable';
}

/** A peer that says nothing for twice as long is gone. */
const HEARTBEAT_S = 10;
const CONNECT_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 5_000;

/**
 * One connection to the RabbitMQ at `url`, opened when it is first needed, and from then on again and again until
 * `close`. What happens to it is reported and never thrown, but for `BrokerTlsError`, at once.
 */
export function connectBroker(url: string, options: BrokerOptions = {}): Broker {
  const { report = () => undefined, use } = options;
  const tls = options.tls === undefined ? {} : tlsOf(options.tls);
  const host = new URL(url).host;
  const forUse = use === undefined ? '' : ` for ${use}`;
  /** Emits `change` when there is a connection, and when an attempt to get one has failed. */
  const changes = new EventEmitter().setMaxListeners(0);
  let opening: Promise<RecoveringChannelModel> | undefined;
  let model: ChannelModel | undefined;
  let blocked: string | undefined;
  let trouble: string | undefined;
  let connectedAt = 0;
  const again = reconnection();
  const others: Broker[] = [];

  const lost = (what: string, error: Error): void => {
    const said = trouble;
    model = undefined;
    blocked = undefined;
    trouble = `RabbitMQ at ${host}: ${error.message}`;
    // Every attempt fails alike while it is away: said once.
    if (said !== trouble) report(`${what}${forUse}; it is tried again and again`, error);
    changes.emit('change');
  };

  const open = async (): Promise<RecoveringChannelModel> => {
    const recovering = await connect(withHeartbeat(url), {
      noDelay: true,
      keepAlive: true,
      timeout: CONNECT_TIMEOUT_MS,
      ...tls,
      clientProperties: { connection_name: `evenkeel${forUse}` },
      recovery: { calculateDelay: () => again.delayMs(), waitForConnect: false },
    });
    recovering.on('connect', (connected) => {
      readAllHeaders(connected);
      model = connected;
      trouble = undefined;
      connectedAt = performance.now();
      report(`connected to RabbitMQ at ${host}${forUse}`);
      changes.emit('change');
    });
    // Each is told of before the wait for the next attempt is asked for.
    recovering.on('disconnect', (error) => {
      again.broke(performance.now() - connectedAt);
      lost('the connection to RabbitMQ broke', error);
    });
    recovering.on('connect-failed', (error) => {
      again.failed();
      lost('no connection to RabbitMQ', error);
    });
    recovering.on('blocked', (reason) => {
      blocked = reason;
      report(`RabbitMQ takes no messages at the moment: ${reason}`);
    });
    recovering.on('unblocked', () => {
      blocked = undefined;
      report('RabbitMQ takes messages again');
    });
    // `disconnect` follows and says the same.
    recovering.on('error', () => undefined);
    return recovering;
  };

  const current = async (): Promise<ChannelModel> => {
    opening ??= open();
    await opening;
    if (model === undefined && trouble === undefined) await once(changes, 'change');
    if (model === undefined) throw new BrokerUnavailable(trouble ?? `RabbitMQ at ${host}: the connection is closed`);
    return model;
  };

  return {
    get blocked() {
      return blocked;
    },
    certificateExpiresAt() {
      const stream = model && streamOf(model);
      return stream instanceof TLSSocket ? new Date(stream.getPeerCertificate().valid_to) : undefined;
    },
    async check() {
      await current();
    },
    async channel() {
      const connection = await current();
      try {
        const channel = await connection.createConfirmChannel();
        // Without a listener it would end the process. Whoever cares listens too.
        channel.on('error', () => undefined);
        return channel;
      } catch (error) {
        throw new BrokerUnavailable(`RabbitMQ at ${host}: no channel: ${String(error)}`, { cause: error });
      }
    },
    async connected(signal) {
      signal.throwIfAborted();
      opening ??= open();
      await opening;
      // oxlint-disable-next-line no-unmodified-loop-condition -- it is modified when the connection comes and goes
      while (model === undefined) await once(changes, 'change', { signal });
    },
    apart(other) {
      const broker = connectBroker(url, { ...options, use: other });
      others.push(broker);
      return broker;
    },
    async close() {
      await Promise.all(others.map((other) => other.close()));
      const closing = model;
      trouble = `RabbitMQ at ${host}: the connection is closed`;
      const connection = await opening?.catch(() => undefined);
      opening ??= Promise.reject(new BrokerUnavailable(trouble));
      opening.catch(() => undefined);
      const over = new AbortController();
      const timeUp = delay(CLOSE_TIMEOUT_MS, undefined, { signal: over.signal }).then(() => closing && cut(closing));
      await Promise.race([connection?.close(), timeUp]);
      timeUp.catch(() => undefined);
      over.abort();
      model = undefined;
      changes.emit('change');
    },
  };
}

/** A broker that does not answer would keep the socket, and with it the process. */
function cut(model: ChannelModel): void {
  streamOf(model).destroy();
}

function streamOf({ connection }: ChannelModel): Duplex {
  return (connection as unknown as { readonly stream: Duplex }).stream;
}

function tlsOf({ caFile, certFile, keyFile }: BrokerTls): { ca?: Buffer; cert?: Buffer; key?: Buffer } {
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new BrokerTlsError('a client certificate for RabbitMQ needs its file and that of its key');
  }
  return {
    ...(caFile === undefined ? {} : { ca: contentOf(caFile) }),
    ...(certFile === undefined ? {} : { cert: contentOf(certFile) }),
    ...(keyFile === undefined ? {} : { key: contentOf(keyFile) }),
  };
}

function contentOf(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    throw new BrokerTlsError(`TLS of RabbitMQ: the file ${file} cannot be read${code}`, { cause: error });
  }
}

function withHeartbeat(url: string): string {
  const asked = new URL(url);
  if (!asked.searchParams.has('heartbeat')) asked.searchParams.set('heartbeat', String(HEARTBEAT_S));
  return asked.href;
}
