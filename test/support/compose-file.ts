/** docker-compose.yml as it is written, for tests that have no Docker engine. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

export const ROOT = join(import.meta.dirname, '../..');

export type Condition = 'service_started' | 'service_healthy' | 'service_completed_successfully';

/** The part of a service that is read here. */
export interface ComposeService {
  readonly image: string;
  readonly build?: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** `./folder:/target:ro` or `volume:/target`. */
  readonly volumes?: readonly string[];
  readonly tmpfs?: readonly string[];
  readonly ports?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: Condition }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly restart?: string;
  readonly scale?: number;
  readonly container_name?: string;
  readonly mem_limit?: string;
}

export interface Mount {
  /** A path below the checkout, beginning with `./`, or the name of a volume. */
  readonly source: string;
  readonly target: string;
}

interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

/** With every variable as it is where nobody sets it. */
export function composeFile(): ComposeFile {
  const text = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');
  return parse(text.replaceAll(/\$\{\w+:-([^}]*)\}/g, '$1'), { merge: true }) as ComposeFile;
}

export function mountsOf({ volumes = [] }: ComposeService): readonly Mount[] {
  return volumes.map((volume) => {
    const [source = '', target = ''] = volume.split(':');
    return { source, target };
  });
}

/** Whether it runs to its end, and whoever depends on it waits for that. */
export function isPassing({ restart }: ComposeService): boolean {
  return restart === 'no';
}

/** The services in an order in which each comes after all that it depends on. Throws where there is none. */
export function startOrder(services: Readonly<Record<string, ComposeService>>): readonly string[] {
  const order: string[] = [];
  const visit = (name: string, path: readonly string[]): void => {
    if (order.includes(name)) return;
    if (path.includes(name)) throw new Error(`they wait for each other: ${[...path, name].join(' -> ')}`);
    for (const other of Object.keys(services[name]?.depends_on ?? {})) visit(other, [...path, name]);
    order.push(name);
  };
  for (const name of Object.keys(services)) visit(name, []);
  return order;
}
