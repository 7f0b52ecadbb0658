import { TestWorkflowEnvironment } from '@temporalio/testing';
import type { ClientInterceptors, WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { DefaultLogger, Runtime, Worker, makeTelemetryFilterString } from '@temporalio/worker';
import type { Attention } from '../../src/domain/step-ports.ts';
import type { Decision } from '../../src/domain/order-ports.ts';
import type { DecisionAction } from '../../src/domain/steps.ts';
import { workflowIdOf } from '../../src/domain/steps.ts';
import type { Metrics } from '../../src/telemetry/metrics.ts';
import type { Log } from '../../src/telemetry/log.ts';
import type { Tracing } from '../../src/telemetry/spans.ts';
import { activityInterceptors, clientInterceptor } from '../../src/telemetry/temporal-interceptors.ts';
import { activityMetrics, workflowSinks } from '../../src/telemetry/temporal-metrics.ts';
import { workflowBundle } from '../../src/workers/bundle.ts';
import {
  ORDERS_TASK_QUEUE,
  type OrderEnd,
  type OrderInput,
  cancelSignal,
  carrierSignal,
  decideUpdate,
  orderAttentionKey,
  orderStatusKey,
} from '../../src/workflows/contract.ts';
import type { order } from '../../src/workflows/order.ts';
import { fakeActivities } from './fake-activities.ts';
import { MemoryDelivery } from './memory-delivery.ts';
import type { Correction } from './memory-store.ts';
import { World, type WorldOptions } from './world.ts';

/** temporal.api.enums.v1.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD */
const KEYWORD = 2;
/** temporal.api.enums.v1.PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED */
const CANCEL_REQUESTED = 3;
/** For what comes in real time on a busy machine; less than a test has, so that it can say what it waited for. */
const PATIENCE_MS = 40_000;
export const DAY_MS = 24 * 60 * 60_000;

export interface BeginOptions extends WorldOptions {
  readonly incarnation?: number;
  /** Goes on in a world that a former workflow of the order left. */
  readonly world?: World;
  /** Called once the world stands, before the workflow starts. */
  readonly given?: (world: World) => void;
  /** The first thing that the workflow hears is a cancellation. */
  readonly cancelledBeforeStart?: boolean;
}

export interface ShopOptions {
  /** Where activities and workflows are counted. */
  readonly metrics?: Metrics;
  /** Where what the tests tell workflows, and activities, are recorded. */
  readonly tracing?: Tracing;
  /** With none, each workflow task replays the whole history. */
  readonly cachedWorkflows?: number;
}

const silentLog: Log = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** The SDK gives the server five seconds to come up, and offers no setting: on a busy machine it is asked again. */
async function startTestServer(
  path: string,
  interceptors: ClientInterceptors,
  triesLeft = 12,
): Promise<TestWorkflowEnvironment> {
  try {
    return await TestWorkflowEnvironment.createTimeSkipping({
      server: { executable: { type: 'existing-path', path } },
      client: { interceptors },
    });
  } catch (error) {
    if (triesLeft === 1 || !String(error).includes('did not start within')) throw error;
    return await startTestServer(path, interceptors, triesLeft - 1);
  }
}

/** A time-skipping server, a worker on it, and a world for each order. Time skips only while a result is awaited. */
export class Shop {
  readonly env: TestWorkflowEnvironment;
  /** The consumers and redrives that its workflows find. */
  readonly delivery: MemoryDelivery;
  readonly #worlds = new Map<string, World>();
  readonly #worker: Worker;
  readonly #running: Promise<void>;
  #orders = 0;

  private constructor(
    env: TestWorkflowEnvironment,
    worker: Worker,
    worlds: Map<string, World>,
    delivery: MemoryDelivery,
  ) {
    this.env = env;
    this.delivery = delivery;
    this.#worker = worker;
    this.#worlds = worlds;
    this.#running = worker.run();
  }

  /** `testServerPath` is the executable of the time-skipping test server. */
  static async open(testServerPath: string, { metrics, tracing, cachedWorkflows }: ShopOptions = {}): Promise<Shop> {
    Runtime.install({
      logger: new DefaultLogger('ERROR'),
      telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'ERROR', other: 'ERROR' }) } },
      shutdownSignals: [],
    });
    const env = await startTestServer(testServerPath, tracing ? { workflow: [clientInterceptor(tracing)] } : {});
    // The test server can add search attributes and cannot list them.
    await env.connection.operatorService.addSearchAttributes({
      namespace: 'default',
      searchAttributes: { [orderStatusKey.name]: KEYWORD, [orderAttentionKey.name]: KEYWORD },
    });
    const worlds = new Map<string, World>();
    const worldOf = (workflowId: string): World => {
      const world = worlds.get(workflowId);
      if (world === undefined) throw new Error(`there is no world for workflow ${workflowId}`);
      return world;
    };
    const delivery = new MemoryDelivery(() => env.currentTimeMs());
    const worker = await Worker.create({
      connection: env.nativeConnection,
      taskQueue: ORDERS_TASK_QUEUE,
      workflowBundle: await workflowBundle(),
      activities: fakeActivities(worldOf, delivery),
      interceptors: {
        activity: [
          ...(tracing === undefined ? [] : [activityInterceptors(silentLog, tracing)]),
          ...(metrics === undefined ? [] : [activityMetrics(metrics)]),
        ],
      },
      sinks: workflowSinks(metrics),
      ...(cachedWorkflows === undefined ? {} : { maxCachedWorkflows: cachedWorkflows }),
    });
    return new Shop(env, worker, worlds, delivery);
  }

  async close(): Promise<void> {
    for (const world of this.#worlds.values()) world.release();
    this.#worker.shutdown();
    await this.#running;
    await this.env.teardown();
  }

  /** Starts an order in a world of its own. */
  async begin({ given, incarnation = 0, cancelledBeforeStart, ...options }: BeginOptions = {}): Promise<Story> {
    this.#orders += 1;
    const world = options.world ?? new World(`o${this.#orders}`, options);
    given?.(world);
    const { orderId } = world;
    this.#worlds.set(workflowIdOf(orderId), world);
    const { totalMinor, currency } = world.facts;
    const input: OrderInput = {
      orderId,
      totalMinor,
      currency,
      incarnation,
      // As the store tells it to a replacement.
      ...(incarnation > 0 ? { generations: world.store.generations, confirmed: world.happened('confirmed') > 0 } : {}),
      dispatchOverdueMs: 30 * DAY_MS,
      deliveryOverdueMs: 30 * DAY_MS,
    };
    const start = {
      workflowId: workflowIdOf(orderId),
      taskQueue: ORDERS_TASK_QUEUE,
      args: [input] as [OrderInput],
    };
    const { workflow } = this.env.client;
    const handle = cancelledBeforeStart
      ? await workflow.signalWithStart<typeof order>('order', { ...start, signal: cancelSignal, signalArgs: [] })
      : await workflow.start<typeof order>('order', start);
    return new Story(this.env, world, handle as WorkflowHandleWithFirstExecutionRunId<typeof order>);
  }
}

/** One order on its way, as a test drives it. Fulfillments are named by their number, from 1. */
export class Story {
  readonly world: World;
  readonly handle: WorkflowHandleWithFirstExecutionRunId<typeof order>;
  readonly #env: TestWorkflowEnvironment;
  #decisions = 0;

  constructor(env: TestWorkflowEnvironment, world: World, handle: Story['handle']) {
    this.#env = env;
    this.world = world;
    this.handle = handle;
  }

  /** Waits, without skipping time, until `event` has happened. */
  async until(event: string, times = 1): Promise<void> {
    await this.world.until(`'${event}' has happened ${times} times`, () => this.world.happened(event) >= times);
  }

  async cancel(): Promise<void> {
    await this.handle.signal(cancelSignal);
  }

  async dispatched(fulfillment = 1): Promise<void> {
    this.world.carrier.take(`${this.world.orderId}-${fulfillment}`);
    await this.news(`${this.world.orderId}-${fulfillment}`, 'dispatched');
  }

  async delivered(fulfillment = 1): Promise<void> {
    await this.news(`${this.world.orderId}-${fulfillment}`, 'delivered');
  }

  async news(fulfillmentId: string, kind: 'dispatched' | 'delivered'): Promise<void> {
    await this.handle.signal(carrierSignal, { fulfillmentId, kind, at: '2026-01-02T03:04:05.000Z' });
  }

  /** Waits until the answer to the booking is known, and nothing is under way. */
  async booked(fulfillment = 1): Promise<void> {
    const id = `${this.world.orderId}-${fulfillment}`;
    const known = (): boolean =>
      [...this.world.journal.rows.values()].some(
        ({ kind, input, outcome }) =>
          kind === 'book' && input !== undefined && 'fulfillmentId' in input && input.fulfillmentId === id && outcome,
      );
    await this.world.until(`fulfillment ${fulfillment} is booked`, known);
    await this.idle();
  }

  /**
   * Waits until no durable activity is under way. The test server, unlike the real one, fails a workflow task that
   * cancels an activity which has ended meanwhile, and stops skipping time where one is cancelled between attempts.
   */
  async idle(): Promise<void> {
    await this.#pending('ended', (states) => states.length === 0);
  }

  /** Waits until the server has cancelled every durable activity that is under way. */
  async activitiesCancelled(): Promise<void> {
    await this.#pending('been cancelled', (states) => states.every((state) => state === CANCEL_REQUESTED));
  }

  async #pending(what: string, holds: (states: readonly (number | null | undefined)[]) => boolean): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const { raw } = await this.handle.describe();
      if (holds((raw.pendingActivities ?? []).map(({ state }) => state))) return;
      if (Date.now() > deadline) throw new Error(`the activities have not ${what}\n${this.world.describe()}`);
    }
  }

  /** Plays the carrier: each fulfillment is taken once it is booked, and arrives once its share is captured. */
  async carry(fulfillments = 1): Promise<void> {
    for (let n = 1; n <= fulfillments; n += 1) {
      await this.booked(n);
      await this.dispatched(n);
      await this.until(`captured ${n}`);
      await this.delivered(n);
    }
  }

  /** Waits until the order is parked at `step`. */
  async parked(step: string, fulfillment?: number): Promise<Attention> {
    const find = (): Attention | undefined =>
      this.world.store
        .openAttentions()
        .find((a) => a.step === step && (fulfillment === undefined || a.fulfillmentId?.endsWith(`-${fulfillment}`)));
    await this.world.until(`the order is parked at ${step}`, () => find() !== undefined);
    const attention = find();
    if (attention === undefined) throw new Error('the attention closed while it was looked at');
    return attention;
  }

  /** Decides on an attention, as a person would. Rejects as the workflow does. */
  async decide(attentionId: string, action: DecisionAction, correction?: Correction): Promise<void> {
    this.#decisions += 1;
    const decisionId = `d${this.#decisions}`;
    const auditId = `audit-${decisionId}`;
    this.world.store.recordedDecisions.set(decisionId, auditId);
    await this.tell({ attentionId, decisionId, action, auditId }, correction);
  }

  /** Tells the workflow of a decision, recorded or not. */
  async tell(decision: Decision, correction?: Correction): Promise<void> {
    const { decisionId } = decision;
    if (correction !== undefined) this.world.store.corrections.set(decisionId, correction);
    await this.handle.executeUpdate(decideUpdate, {
      args: [decision],
      updateId: decisionId,
    });
  }

  /** Lets time pass at once, whatever waits for it. */
  async pass(ms: number): Promise<void> {
    await this.#env.sleep(ms);
  }

  /** Lets time pass, `ms` at once, until `holds`. */
  async passUntil(what: string, ms: number, holds: () => boolean): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!holds()) {
      if (Date.now() > deadline) throw new Error(`time passed in vain until ${what}\n${this.world.describe()}`);
      await this.pass(ms);
    }
  }

  /** Skips to the order's end, and checks that every promise was kept on the way. */
  async end(): Promise<OrderEnd> {
    const end = await this.handle.result();
    this.world.assertSound();
    return end;
  }
}
