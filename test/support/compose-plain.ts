/**
 * Services of docker-compose.yml as processes of this machine: commands, environment, mounts and start order are taken
 * from the file itself. Only what a container would have of its own is put in its place: its network (each `name:port`
 * is a free port of loopback), its file system (a folder with the mounts in it) and the programs of its image.
 */
import { randomInt } from 'node:crypto';
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { answers, isFree } from '../../src/embedded/ports.ts';
import { run } from '../../src/embedded/run.ts';
import { type ComposeService, ROOT, composeFile, isPassing, mountsOf, startOrder } from './compose-file.ts';
import { PlainProcess } from './compose-process.ts';
import { waitFor } from './wait.ts';

/** What stands in for the image of one service. */
export interface StandIn {
  /** The entrypoint of the image, where the file leaves it as it is. */
  readonly program?: string;
  /** Words of its command, and paths, that only the image has. */
  readonly words?: Readonly<Record<string, string>>;
  /** What the image, or the container's own network, gives its process besides the environment of the file. */
  readonly env?: (instance: Instance) => Readonly<Record<string, string>>;
  readonly args?: (instance: Instance) => readonly string[];
  /** What it would start by itself, and leave behind. */
  readonly beside?: (instance: Instance) => readonly string[];
  /** In place of starting it by its command. */
  readonly start?: (instance: Instance) => Promise<PlainProcess>;
}

/** One replica of a service. */
export interface Instance {
  readonly name: string;
  readonly service: string;
  /** Where its own path `path` is on this machine. */
  path(path: string): string;
  /** Where its own port is on this machine. */
  port(port: number): number;
}

const PORTS = 60;

/** Below 32768: Temporal keeps the ports of its members as smallint, and systems hand out none of these by themselves. */
async function freePorts(): Promise<number[]> {
  const free = new Set<number>();
  while (free.size < PORTS) {
    const port = randomInt(20_000, 32_768);
    if (await isFree(port)) free.add(port);
  }
  return [...free];
}

export class PlainStack {
  readonly folder: string;
  readonly #services: Readonly<Record<string, ComposeService>>;
  readonly #standIns: Readonly<Record<string, StandIn>>;
  readonly #free: number[];
  readonly #ports = new Map<string, number>();
  readonly #processes = new Map<string, PlainProcess>();
  readonly #sources = new Map<string, string>();

  private constructor(folder: string, free: number[], standIns: Readonly<Record<string, StandIn>>) {
    this.folder = folder;
    this.#free = free;
    this.#standIns = standIns;
    const { services } = composeFile();
    this.#services = services;
  }

  /** `standIns` names the services that it can run. */
  static async create(standIns: (stack: PlainStack) => Readonly<Record<string, StandIn>>): Promise<PlainStack> {
    const folder = await mkdtemp(join(tmpdir(), 'evenkeel-compose-'));
    // As root, some of them run as somebody else, who must pass through.
    await chmod(folder, 0o711);
    const made: Record<string, StandIn> = {};
    const stack = new PlainStack(folder, await freePorts(), made);
    Object.assign(made, standIns(stack));
    return stack;
  }

  /** Mounts `path` wherever the file mounts `source`. */
  replaceSource(source: string, path: string): void {
    this.#sources.set(source, path);
  }

  instances(service: string): readonly Instance[] {
    const { scale = 1 } = this.#service(service);
    return Array.from({ length: scale }, (_, index) => this.#instance(service, `${service}-${index + 1}`));
  }

  /** Where `service:port` is on this machine: that of its first replica. */
  address(service: string, port: number): string {
    return `127.0.0.1:${this.#port(`${service}-1`, port)}`;
  }

  /** Starts the services, each as soon as those that it waits for are as it wants them. */
  async start(): Promise<void> {
    const started = new Map<string, Promise<void>>();
    for (const name of startOrder(this.#services).filter((service) => service in this.#standIns)) {
      const { depends_on: others = {} } = this.#service(name);
      const ready = Promise.all(Object.keys(others).map((other) => started.get(other) ?? Promise.resolve()));
      started.set(
        name,
        ready.then(() => this.#startService(name)),
      );
    }
    await Promise.all(started.values());
  }

  async #startService(name: string): Promise<void> {
    if (isPassing(this.#service(name))) await this.#pass(this.#instance(name, `${name}-1`));
    else await Promise.all(this.instances(name).map((instance) => this.startInstance(instance)));
  }

  /** Runs words within what an instance sees of files and settings, as `docker compose exec`; resolves with its stdout. */
  async exec(instance: Instance, words: readonly string[]): Promise<string> {
    const [command = '', ...args] = words.map((word) => this.#translate(instance, word));
    const { code, output, stdout } = await run(command, args, { env: this.#environment(instance), cwd: ROOT });
    if (code !== 0) throw new Error(`${words.join(' ')} in ${instance.name} ended with ${code}:\n${output}`);
    return stdout;
  }

  /** Runs once more all that runs to its end. */
  async prepare(): Promise<void> {
    for (const service of startOrder(this.#services)) {
      if (service in this.#standIns && isPassing(this.#service(service))) {
        await this.#pass(this.#instance(service, `${service}-1`));
      }
    }
  }

  async startInstance(instance: Instance): Promise<void> {
    const { start, beside } = this.#standIns[instance.service] ?? {};
    if (beside) this.#processes.set(`beside ${instance.name}`, this.#spawn(instance, beside(instance)));
    const process = start === undefined ? this.#spawn(instance, this.#command(instance)) : await start(instance);
    this.#processes.set(instance.name, process);
    const isReady = async (): Promise<boolean> => {
      if (!process.isRunning) throw new Error(`${instance.name} ended:\n${process.log()}`);
      return await this.#isHealthy(instance);
    };
    await waitFor(`${instance.name} is healthy`, isReady, 180_000, () => process.log());
  }

  process(name: string): PlainProcess {
    const process = this.#processes.get(name);
    if (process === undefined) throw new Error(`${name} was not started`);
    return process;
  }

  /** Ends all of it, the last started first, and takes its folder away. */
  async close(): Promise<void> {
    for (const [, process] of [...this.#processes].toReversed()) await process.end('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The last that each of them wrote, for whoever looks into a failure. */
  logs(): string {
    return [...this.#processes].map(([name, process]) => `=== ${name}\n${process.log()}`).join('\n');
  }

  #service(name: string): ComposeService {
    const service = this.#services[name];
    if (service === undefined) throw new Error(`docker-compose.yml has no service ${name}`);
    return service;
  }

  #instance(service: string, name: string): Instance {
    return {
      name,
      service,
      path: (path) => join(this.#root(service, name), path),
      port: (port) => this.#port(name, port),
    };
  }

  #port(instance: string, port: number): number {
    const key = `${instance}:${port}`;
    const known = this.#ports.get(key) ?? this.#free.pop();
    if (known === undefined) throw new Error(`${PORTS} ports are too few`);
    this.#ports.set(key, known);
    return known;
  }

  /** A folder that is to the process what the file system is to the container: with its mounts, and nothing else. */
  #root(service: string, instance: string): string {
    const root = join(this.folder, 'roots', instance);
    for (const { source, target } of mountsOf(this.#service(service))) {
      const place = source.startsWith('./') ? join(ROOT, source) : join(this.folder, 'volumes', source);
      if (!source.startsWith('./')) mkdirSync(place, { recursive: true });
      link(this.#sources.get(source) ?? place, join(root, target));
    }
    for (const tmpfs of this.#service(service).tmpfs ?? []) {
      mkdirSync(join(root, tmpfs.split(':')[0] ?? ''), { recursive: true });
    }
    return root;
  }

  /** A word of the file, with this machine's ports and paths in it. */
  #translate(instance: Instance, text: string): string {
    const service = this.#service(instance.service);
    const targets = [...mountsOf(service).map(({ target }) => target), ...(service.tmpfs ?? [])];
    const places = targets.map((target) => target.split(':')[0] ?? '');
    const isMounted = (path: string): boolean =>
      places.some((place) => `${path}/`.startsWith(`${place}/`) || place.startsWith(`${path}/`));
    const standing = this.#standIns[instance.service]?.words?.[text];
    if (standing !== undefined) return standing;
    return text
      .replace(/(?<=^|=)\/[^\s:]+/, (path) => (isMounted(path) ? instance.path(path) : path))
      .replaceAll(/\b(127\.0\.0\.1|localhost|[a-z][a-z-]*):(\d+)\b/g, (whole, host: string, port: string) => {
        if (host in this.#services) return this.address(host, Number(port));
        return /\d|localhost/.test(host) ? `127.0.0.1:${instance.port(Number(port))}` : whole;
      })
      .replace(/^0\.0\.0\.0$/, '127.0.0.1');
  }

  #environment(instance: Instance): Record<string, string> {
    const { environment = {} } = this.#service(instance.service);
    const given = Object.entries(environment).map(([name, value]) => {
      const isPort = name.endsWith('_PORT');
      return [name, isPort ? String(instance.port(Number(value))) : this.#translate(instance, value)];
    });
    const own = this.#standIns[instance.service]?.env?.(instance) ?? {};
    const { PATH = '/usr/bin:/bin' } = process.env;
    return { PATH, HOME: this.folder, ...Object.fromEntries(given), ...own };
  }

  #command(instance: Instance): readonly string[] {
    const { entrypoint = [], command = [] } = this.#service(instance.service);
    const words = [...entrypoint, ...command].map((word, index, all) =>
      all[index - 1] === '--port' ? String(instance.port(Number(word))) : this.#translate(instance, word),
    );
    const { program, args } = this.#standIns[instance.service] ?? {};
    return [...(program === undefined ? [] : [program]), ...words, ...(args?.(instance) ?? [])];
  }

  async #pass(instance: Instance): Promise<void> {
    const [command = '', ...args] = this.#command(instance);
    const { code, output } = await run(command, args, { env: this.#environment(instance), cwd: ROOT });
    if (code !== 0) throw new Error(`${instance.name} ended with ${code}:\n${output}`);
  }

  #spawn(instance: Instance, [command = '', ...args]: readonly string[]): PlainProcess {
    const logFile = join(this.folder, `${instance.name}.log`);
    return new PlainProcess({ command, args, env: this.#environment(instance), cwd: ROOT, logFile });
  }

  /** By the file's own check where its program is ours; else by what it asks: a URL, or a port. */
  async #isHealthy(instance: Instance): Promise<boolean> {
    const test = this.#service(instance.service).healthcheck?.test.slice(1) ?? [];
    const [command = '', ...args] = test.map((word) => this.#translate(instance, word));
    if (test[0] === 'node') return (await run(command, args, { cwd: ROOT })).code === 0;
    const url = args.find((word) => word.startsWith('http://'));
    if (url !== undefined) return (await fetch(url).catch(() => undefined))?.ok === true;
    const port = test.find((word) => /^\d+$/.test(word)) ?? DEFAULT_PORTS[instance.service];
    return await answers(instance.port(Number(port)));
  }
}

/** Of those whose check names no port. */
const DEFAULT_PORTS: Readonly<Record<string, string>> = { postgres: '5432', rabbitmq: '5672' };

function link(place: string, at: string): void {
  mkdirSync(dirname(at), { recursive: true });
  try {
    symlinkSync(place, at);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}
