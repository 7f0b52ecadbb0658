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
