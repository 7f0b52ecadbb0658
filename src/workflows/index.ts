/** The bundle's entry: every workflow, by the name that the contract gives it. */
export { order } from './order.ts';
export { upkeep } from './upkeep.ts';
