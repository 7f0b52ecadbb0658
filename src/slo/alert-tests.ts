import type { Objective } from '../domain/objectives.ts';
import { absenceTests } from './absence-stories.ts';
import { budgetTests } from './budget-stories.ts';
import { growthTests } from './growth-stories.ts';
import { limitTests } from './limit-stories.ts';
import { outageTests } from './outage-stories.ts';
import { processTests } from './process-stories.ts';
import type { TestFile } from './promtool.ts';
import { trafficTests } from './traffic-stories.ts';

/** What each alert is held to: that it fires, not before it must, not without need, and that it ends. */
export function alertTests(objectives: readonly Objective[]): readonly TestFile[] {
  return [budgetTests, trafficTests, processTests, limitTests, growthTests, absenceTests, outageTests].flatMap(
    (tests) => tests(objectives),
  );
}
