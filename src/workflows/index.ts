/** The bundle's entry: every workflow, by the name that the contract gives it. */
export { consumer } from './consumer.ts';
export { order } from './order.ts';
export { redrive } from './redrive.ts';
export { upkeep } from './upkeep.ts';
