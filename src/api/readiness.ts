import { DomainFailure } from '../domain/failures.ts';
import type { Log } from '../telemetry/log.ts';
import type { ReadinessCheck } from './deps.ts';

const checkMs = 2_000;

export interface ReadinessDeps {
  readonly readiness: readonly ReadinessCheck[];
  readonly draining?: AbortSignal;
  readonly log: Log;
}

/** Whether requests can be served. `degraded`: they can, though something is missing. */
export interface Readiness {
  readonly status: 'ready' | 'degraded' | 'not_ready' | 'stopping';
  readonly checks: readonly { readonly name: string; readonly ready: boolean; readonly detail?: string }[];
}

/** Asks everything that is needed, within two seconds. Never rejects. */
export async function readinessOf({ readiness, draining, log }: ReadinessDeps): Promise<Readiness> {
  if (draining?.aborted === true) return { status: 'stopping', checks: [] };
  const judged = await Promise.all(readiness.map((check) => judge(check, log)));
  const missing = judged.filter(({ ready }) => !ready);
  const checks = judged.map(({ optional: _optional, ...check }) => check);
  if (missing.length === 0) return { status: 'ready', checks };
  return { status: missing.every(({ optional }) => optional) ? 'degraded' : 'not_ready', checks };
}

interface Judgement {
  readonly name: string;
  readonly ready: boolean;
  readonly detail?: string;
  readonly optional: boolean;
}

/** A check that ignores its signal is judged all the same. */
async function judge(dependency: ReadinessCheck, log: Log): Promise<Judgement> {
  const { name, optional = false } = dependency;
  const signal = AbortSignal.timeout(checkMs);
  const late = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () =>
      reject(new DomainFailure('store_unavailable', `no answer in ${checkMs} ms`)),
    );
  });
  try {
    await Promise.race([dependency.check(signal), late]);
    return { name, optional, ready: true };
  } catch (err) {
    // A failure of the domain may be shown, and says all; what else an error says is for the log.
    const detail = err instanceof DomainFailure ? err.message : 'does not answer';
    log.warn(err instanceof DomainFailure ? { dependency: name, detail } : { err, dependency: name }, 'not ready');
    return { name, optional, ready: false, detail };
  } finally {
    late.catch(() => undefined);
  }
}
