import type { Budget } from './budget.ts';
import { fewestBad } from './windows.ts';

/** A share as people write it: 0.999 is `99.9 %`. */
export function percent(share: number): string {
  return `${Number((share * 100).toFixed(6))} %`;
}

/**
 * A share that was measured, with three decimals, cut and not rounded: what is short of all never reads `100 %`, and what
 * missed its target by a hair does not read as if it had met it.
 */
export function measured(share: number): string {
  const thousandths = Math.floor(Number((share * 100_000).toFixed(6)));
  return `${(thousandths / 1_000).toFixed(3).replace(/\.?0+$/, '')} %`;
}

/** What is left of a budget, below nothing included; for what is spent more than twice, that it is. */
export function leftOf(budget: Pick<Budget, 'allowedEvents' | 'badEvents' | 'leftShare'>): string {
  const { leftShare } = budget;
  if (isTooFew(budget)) return 'too few events';
  if (leftShare < -1) return '< -100 %';
  // Cut and not rounded: what is short of whole is not 100 %, and what is overspent is not 0 %.
  const digits = Math.abs(leftShare) < 0.1 ? 10 : 1;
  return `${Math.floor(Number((leftShare * 100 * digits).toFixed(6))) / digits} %`;
}

/**
 * One bad event, of so few that not one is allowed: it says nothing about a budget. The second does, as it does to the
 * alerts' rules and to the gate.
 */
export function isTooFew({ allowedEvents, badEvents }: Pick<Budget, 'allowedEvents' | 'badEvents'>): boolean {
  return allowedEvents < 1 && badEvents > 0 && badEvents <= fewestBad.ticket;
}

/** Of so many events, `target` allows one to be bad. */
export function eventsForOne(target: number): number {
  return Math.ceil(Number((1 / (1 - target)).toFixed(3)));
}

/** Whole events as such; the allowed ones, which need not be whole, cut to one decimal where they are few. */
export function counted(events: number): string {
  const cut = events < 100 ? Math.floor(events * 10) / 10 : Math.floor(events);
  return cut.toLocaleString('en-GB');
}
