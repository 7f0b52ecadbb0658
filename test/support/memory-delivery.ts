import { Context } from '@temporalio/activity';
import { type Activities, type ActivityPorts, createActivities } from '../../src/activities/activities.ts';
import type { RedriveView } from '../../src/domain/consumer-ports.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import type { MemoryConsumer } from './memory-consumer.ts';
import type { MemoryRedrive } from './memory-redrive.ts';

type DeliveryPorts = Pick<ActivityPorts, 'troubles' | 'redrives'>;
type Method = keyof DeliveryPorts['troubles'] | keyof DeliveryPorts['redrives'];

const none = (): never => {
  throw new Error('an order has no consumers');
};
/** What the workflows of orders never ask for. */
export const notOfOrders: DeliveryPorts & Pick<ActivityPorts, 'upkeep'> = {
  upkeep: { run: async () => ({ looked: 1 }) },
  troubles: { observe: none, probe: none, open: none, end: none, giveUp: none },
  redrives: { find: none, sendNext: none, advance: none },
};

const activityNames = [
  'observeTrouble',
  'probeConsumer',
  'openConsumer',
  'endTrouble',
  'giveUpConsumer',
  'lookAtRedrive',
  'sendNextOfRedrive',
  'advanceRedrive',
] as const satisfies readonly (keyof Activities)[];

/** One call of a port by a workflow, by the test server's clock. */
export interface DeliveryCall {
  readonly id: string;
  readonly method: Method;
  readonly at: number;
  readonly local: boolean;
}

/** Consumers and redrives by their ids, and the real activities over them. */
export class MemoryDelivery {
  readonly consumers = new Map<string, MemoryConsumer>();
  readonly redrives = new Map<string, MemoryRedrive>();
  readonly calls: DeliveryCall[] = [];
  /** Called after each probe: what the relay tells of it. */
  afterProbe: (consumerId: string) => Promise<void> = async () => undefined;
  readonly #now: () => Promise<number>;
  readonly #away = new Map<Method, number>();

  /** `now` is the test server's clock. */
  constructor(now: () => Promise<number>) {
    this.#now = now;
  }

  /** The next `times` calls of `method` find no database. */
  away(method: Method, times: number): void {
    this.#away.set(method, times);
  }

  of(id: string, method: Method): DeliveryCall[] {
    return this.calls.filter((call) => call.id === id && call.method === method);
  }

  activities(): Pick<Activities, (typeof activityNames)[number]> {
    // The orders' ports are not touched by what is picked.
    const all = createActivities(this.#ports() as ActivityPorts);
    return Object.fromEntries(activityNames.map((name) => [name, all[name]])) as Pick<
      Activities,
      (typeof activityNames)[number]
    >;
  }

  #ports(): DeliveryPorts {
    return {
      troubles: {
        observe: (id, epoch) => this.#call(id, 'observe', (now) => this.#consumer(id).observe(epoch, now)),
        probe: async (id, epoch) => {
          await this.#call(id, 'probe', () => this.#consumer(id).probe(epoch));
          await this.afterProbe(id);
        },
        open: (id, epoch, sendLimit) => this.#call(id, 'open', () => this.#consumer(id).open(epoch, sendLimit)),
        end: (id, epoch) => this.#call(id, 'end', () => this.#consumer(id).end(epoch)),
        giveUp: (id, epoch) => this.#call(id, 'giveUp', () => this.#consumer(id).giveUp(epoch)),
      },
      redrives: {
        find: (id) => this.#call(id, 'find', () => this.redrives.get(id)?.find() as RedriveView | undefined),
        sendNext: (id, count) => this.#call(id, 'sendNext', (now) => this.#redrive(id).sendNext(count, now)),
        advance: (id, state) => this.#call(id, 'advance', () => this.#redrive(id).advance(state)),
      },
    };
  }

  async #call<T>(id: string, method: Method, effect: (now: number) => T): Promise<T> {
    const now = await this.#now();
    this.calls.push({ id, method, at: now, local: Context.current().info.isLocal });
    const away = this.#away.get(method) ?? 0;
    if (away > 0) {
      this.#away.set(method, away - 1);
      throw new DomainFailure('store_unavailable', `${method} as scripted`);
    }
    return effect(now);
  }

  #consumer(id: string): MemoryConsumer {
    return given(this.consumers.get(id), id);
  }

  #redrive(id: string): MemoryRedrive {
    return given(this.redrives.get(id), id);
  }
}

function given<T>(found: T | undefined, id: string): T {
  if (found === undefined) throw new Error(`there is no ${id}`);
  return found;
}
