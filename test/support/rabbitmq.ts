import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, closeSync, openSync } from 'node:fs';
import { chmod, chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { inject } from 'vitest';
import { freePort } from '../../src/embedded/ports.ts';
import type { Account } from '../../src/embedded/run.ts';
import { isRoot, unprivilegedAccount } from '../../src/embedded/unprivileged.ts';
import type { CertificateFiles } from './certificates.ts';
import { waitFor } from './wait.ts';

/** Whatever runs; the last resort where a test process ends without having stopped its broker. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) killGroup(child);
});

/** A RabbitMQ of a test's own: on free ports of loopback, with a folder that goes with it. */
export class TestBroker {
  /** amqp://guest:guest@127.0.0.1:port; the same over all its lives. */
  readonly url: string;
  /** Where it speaks TLS, if it was asked to. */
  readonly tlsAddress: string;
  readonly #home: string;
  readonly #account: Account | undefined;
  readonly #ports: { readonly amqp: number; readonly distribution: number; readonly epmd: number };
  readonly #serverPath: string;
  #epmd: ChildProcess | undefined;
  #server: ChildProcess | undefined;

  /** Use `startBroker`. */
  constructor(made: {
    readonly home: string;
    readonly account: Account | undefined;
    readonly ports: { readonly amqp: number; readonly distribution: number; readonly epmd: number };
    readonly tlsPort: number;
    readonly serverPath: string;
  }) {
    this.url = `amqp://guest:guest@127.0.0.1:${made.ports.amqp}`;
    this.tlsAddress = `127.0.0.1:${made.tlsPort}`;
    this.#home = made.home;
    this.#account = made.account;
    this.#ports = made.ports;
    this.#serverPath = made.serverPath;
  }

  get #logFile(): string {
    return join(this.#home, 'out.log');
  }

  /** Starts it, on the data of its life before; resolves once it accepts connections. */
  async start(): Promise<void> {
    // The registry of Erlang's nodes: run by us, because the daemon that a node starts by itself would stay for ever.
    this.#epmd ??= this.#spawn('epmd', ['-port', String(this.#ports.epmd), '-address', '127.0.0.1'], {});
    const server = this.#spawn(this.#serverPath, [], this.#environment());
    this.#server = server;
    const look = async (): Promise<boolean> => {
      if (server.exitCode !== null) throw new Error(`RabbitMQ ended with ${server.exitCode}:\n${await this.log()}`);
      const connection = await connect(this.url, { timeout: 5_000 }).catch(() => undefined);
      await connection?.close();
      return connection !== undefined;
    };
    await waitFor('RabbitMQ accepts connections', look, 120_000, () => this.log());
  }

  /** As a power cut would: nothing is said to anybody. */
  async kill(): Promise<void> {
    await ended(this.#server, 'SIGKILL');
    this.#server = undefined;
  }

  /** Stops it for a while: it keeps its connections and answers nothing. */
  freeze(): void {
    this.#server?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#server?.kill('SIGCONT');
  }

  /** Ends it for good, and takes its folder away. */
  async stop(): Promise<void> {
    await this.kill();
    await ended(this.#epmd, 'SIGKILL');
    await rm(this.#home, { recursive: true, force: true });
  }

  /** The last it said. */
  async log(): Promise<string> {
    return (await readFile(this.#logFile, 'utf8')).split('\n').slice(-30).join('\n');
  }

  #spawn(command: string, args: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
    const out = openSync(this.#logFile, 'a');
    const child = spawn(command, args, {
      cwd: this.#home,
      env: { PATH: process.env['PATH'], HOME: this.#home, ...env },
      stdio: ['ignore', out, out],
      // A group of its own, so that what it starts goes with it.
      detached: true,
      ...this.#account,
    });
    running.add(child);
    const release = guard(child);
    child.once('exit', () => {
      running.delete(child);
      release();
    });
    child.once('error', (error) => appendFileSync(this.#logFile, `${command}: ${error.message}\n`));
    closeSync(out);
    return child;
  }

  #environment(): Readonly<Record<string, string>> {
    const { amqp, distribution, epmd } = this.#ports;
    return {
      RABBITMQ_NODENAME: `evenkeel-${amqp}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
      RABBITMQ_NODE_PORT: String(amqp),
      RABBITMQ_DIST_PORT: String(distribution),
      ERL_EPMD_PORT: String(epmd),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      RABBITMQ_MNESIA_BASE: join(this.#home, 'mnesia'),
      RABBITMQ_LOG_BASE: join(this.#home, 'log'),
      RABBITMQ_CONF_ENV_FILE: '/dev/null',
      RABBITMQ_CONFIG_FILE: join(this.#home, 'rabbitmq.conf'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(this.#home, 'enabled_plugins'),
      // One thread is enough for tests, and leaves the machine to them.
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
        '-start_epmd false -kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none',
      // As under systemd its script becomes the server, instead of a shell that waits for it.
      RUNNING_UNDER_SYSTEMD: 'true',
    };
  }
}

/**
 * Starts a RabbitMQ; ask for one per file that needs it, and `stop` it in the end. With `tls` it has a port that asks for
 * a certificate by the same authority, too. Throws if there is no RabbitMQ.
 */
export async function startBroker(tls?: CertificateFiles & { readonly ca: string }): Promise<TestBroker> {
  const { path: serverPath, problem } = inject('rabbitmqServer');
  if (serverPath === null) throw new Error(problem);
  const home = await mkdtemp(join(tmpdir(), 'evenkeel-rabbitmq-'));
  const account = isRoot() ? await unprivilegedAccount() : undefined;
  if (account) await chown(home, account.uid, account.gid);
  await chmod(home, 0o700);
  // The disk of whoever runs the tests may be fuller than a server's should be.
  const settings = ['disk_free_limit.absolute = 10MB', 'log.console.level = warning'];
  const tlsPort = await freePort();
  if (tls !== undefined) {
    const files = [`cacertfile = ${tls.ca}`, `certfile = ${tls.cert}`, `keyfile = ${tls.key}`];
    const asks = ['verify = verify_peer', 'fail_if_no_peer_cert = true'];
    settings.push(`listeners.ssl.default = 127.0.0.1:${tlsPort}`);
    settings.push(...[...files, ...asks].map((option) => `ssl_options.${option}`));
  }
  await writeFile(join(home, 'rabbitmq.conf'), `${settings.join('\n')}\n`, { mode: 0o644 });
  // One after the other: each is free only until the next is asked for.
  const ports = { amqp: await freePort(), distribution: await freePort(), epmd: await freePort() };
  const broker = new TestBroker({ home, account, ports, tlsPort, serverPath });
  try {
    await broker.start();
    return broker;
  } catch (error) {
    await broker.stop();
    throw error;
  }
}

/** Sees to the end of `child` if this process is killed: then the pipe that it holds ends. */
function guard({ pid }: ChildProcess): () => void {
  const script = 'read -r line; kill -9 "-$1"';
  const watch = spawn('/bin/sh', ['-c', script, 'sh', String(pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  watch.unref();
  return () => watch.kill('SIGKILL');
}

async function ended(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const exit = once(child, 'exit');
  killGroup(child, signal);
  await exit;
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It is gone.
  }
}
