/** A workflow that does nothing: what Temporal itself costs, to hold an order's rate against. */
export async function noop(): Promise<void> {
  // Nothing, on purpose.
}
