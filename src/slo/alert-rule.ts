export const severities = ['page', 'ticket', 'none'] as const;

/** An alert as it is written here; `alertRules` in `alert-catalog.ts` makes Prometheus' form of it. */
export interface AlertRule {
  /** The runbook has the same name. Several rules of one name differ by their labels. */
  readonly alert: string;
  readonly expr: string;
  /** How long it must hold before anybody is told; at once if absent. */
  readonly forSeconds?: number;
  /** How long it goes on firing after it holds no more; not at all if absent. */
  readonly keepSeconds?: number;
  /** A page wakes somebody up, a ticket waits for the morning; `none` is for the Watchdog alone. */
  readonly labels: { readonly severity: (typeof severities)[number] } & Readonly<Record<string, string>>;
  /** One line, for a list. */
  readonly summary: string;
  /** What is known, with numbers. May use the templates of Prometheus. */
  readonly description: string;
}
