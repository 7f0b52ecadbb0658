import type { TaskQueues } from '../domain/fact-ports.ts';
import type { Admission, Backlog, Backlogs } from '../domain/overload-ports.ts';
import { DomainFailure } from '../domain/failures.ts';
import { type AdmissionState, afterLook, calm, verdictOf } from '../resilience/admission.ts';
import type { Log } from '../telemetry/log.ts';
import { createBell } from './bell.ts';

export interface AdmissionDeps {
  readonly backlogs: Backlogs;
  readonly taskQueues: Pick<TaskQueues, 'describe'>;
  readonly log: Log;
  /** Told after each look. */
  readonly looked?: (state: Pick<Admission, 'pressure' | 'backlogAgeMs'>) => void;
}

export interface WatchedAdmission extends Admission {
  /** Looks once a second until `signal` fires. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
  /** For readiness: rejects with what an operator should know while anything is shed. */
  check(): Promise<void>;
}

const EVERY_MS = 1_000;
/** Orders that have waited for less are not worth asking Temporal for. */
const WORTH_ASKING = 0.25;

/**
 * Sheds load by the age of the backlog: of what waits for its turn with us, and not for a provider, a person or Temporal.
 * Each API process looks for itself, so that nothing has to be agreed upon.
 */
export function createAdmission(
  { backlogs, taskQueues, log, looked = () => undefined }: AdmissionDeps,
  { shedAgeMs }: { readonly shedAgeMs: number },
): WatchedAdmission {
  let state = calm;
  let wasUnknown = false;

  /** PostgreSQL's word is exact; only one that would change something is checked against Temporal's. */
  async function look(): Promise<Backlog> {
    const backlog = await backlogs.read();
    if (backlog.ageMs < shedAgeMs * WORTH_ASKING) return backlog;
    const { workflow } = await taskQueues.describe();
    // What no task waits for is with a worker already, or waits for a retry: new orders need not wait behind it.
    return workflow.backlog > 0 ? backlog : { ageMs: 0, waiting: 0 };
  }

  async function round(): Promise<void> {
    let backlog: Backlog | undefined;
    try {
      backlog = await look();
      wasUnknown = false;
    } catch (error) {
      if (!wasUnknown) log.warn({ err: error }, 'the backlog cannot be told: nothing new is shed for it');
      wasUnknown = true;
    }
    const before = state;
    state = afterLook(state, { at: performance.now(), backlog }, shedAgeMs);
    tell(before, state);
    looked(state);
  }

  function tell({ pressure: before }: AdmissionState, { pressure, backlogAgeMs, untilDoneMs }: AdmissionState): void {
    if (pressure === before) return;
    const fields = { pressure, backlogAgeMs: Math.round(backlogAgeMs), untilDoneMs: Math.round(untilDoneMs) };
    if (pressure === 0) log.info(fields, 'overload is over: all requests are admitted');
    else if (pressure > before) log.warn(fields, `overload: ${sheds[pressure]}`);
    else log.info(fields, `overload wanes: ${sheds[pressure]}`);
  }

  return {
    admit: (priority) => verdictOf(state, priority, Math.random),
    get pressure() {
      return state.pressure;
    },
    get backlogAgeMs() {
      return state.backlogAgeMs;
    },
    async run(signal) {
      const bell = createBell();
      signal.addEventListener('abort', () => bell.ring(), { once: true });
      while (!signal.aborted) {
        await round();
        // Several processes do not look at the same moment.
        await bell.wait(EVERY_MS * (0.9 + Math.random() / 5));
      }
    },
    check() {
      const { pressure, backlogAgeMs } = state;
      if (pressure === 0) return Promise.resolve();
      const detail = `orders wait ${Math.round(backlogAgeMs)} ms for their turn; ${sheds[pressure]}`;
      return Promise.reject(new DomainFailure('workflow_unavailable', detail));
    },
  };
}

const sheds = { 0: 'nothing is refused', 1: 'background requests are refused', 2: 'new orders are refused' } as const;
