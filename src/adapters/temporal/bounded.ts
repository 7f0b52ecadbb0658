import {
  type Client,
  ServiceError,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import { DomainFailure } from '../../domain/failures.ts';

/** Runs one call to Temporal, named for a person by `what`. */
export type Bounded = <T>(what: string, call: () => Promise<T>) => Promise<T>;

/**
 * Calls of `client` that last `deadlineMs` at most. Temporal's own answers (no such workflow, started already, update
 * refused) pass as they are; where it could not be asked, `workflow_unavailable` is thrown.
 */
export function boundedCalls(client: Client, deadlineMs: number): Bounded {
  return async (what, call) => {
    try {
      return await client.withDeadline(Date.now() + deadlineMs, call);
    } catch (error) {
      throw unavailable(what, error);
    }
  };
}

function unavailable(what: string, error: unknown): unknown {
  const answered =
    error instanceof WorkflowNotFoundError ||
    error instanceof WorkflowExecutionAlreadyStartedError ||
    error instanceof WorkflowUpdateFailedError;
  if (answered || !(error instanceof Error)) return error;
  const reason = error instanceof ServiceError ? (error.cause?.message ?? error.message) : error.message;
  return new DomainFailure('workflow_unavailable', `${what}: Temporal does not answer (${reason}); try again`, {
    cause: error,
    retryAfterMs: 2_000,
  });
}
