import { CancellationScope } from '@temporalio/workflow';

/**
 * The undos of what an order took, newest first. Register an undo before its step runs: a step whose answer was lost
 * may have had its effect, and every undo tolerates that it never happened.
 *
 * An undo settles its own trouble (it retries, then waits for a person) and so never rejects; nothing is swallowed.
 */
export class Saga {
  readonly #undos: { readonly name: string; readonly undo: () => Promise<void> }[] = [];

  /** One that is registered already keeps its place. */
  register(name: string, undo: () => Promise<void>): void {
    if (!this.#undos.some((registered) => registered.name === name)) this.#undos.push({ name, undo });
  }

  /** Runs all undos, newest first, one after the other; a cancellation meanwhile changes nothing. */
  async compensate(): Promise<void> {
    await CancellationScope.nonCancellable(async () => {
      for (let next = this.#undos.pop(); next; next = this.#undos.pop()) await next.undo();
    });
  }
}
