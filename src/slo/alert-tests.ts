import type { Objective } from '../domain/objectives.ts';
import { budgetTests } from './budget-stories.ts';
import type { TestFile } from './promtool.ts';

export function alertTests(objectives: readonly Objective[]): readonly TestFile[] {
  return [...budgetTests(objectives)];
}
