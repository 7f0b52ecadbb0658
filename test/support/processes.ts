import { spawnSync } from 'node:child_process';

/** The pids of all processes below `pid`, itself not included, at this moment. */
export function descendantsOf(pid: number): readonly number[] {
  const ps = spawnSync('ps', ['-A', '-o', 'pid=', '-o', 'ppid='], { encoding: 'utf8' });
  const rows = ps.stdout.trim().split('\n');
  // `ps` is below us itself.
  const table = rows.map((line) => line.trim().split(/\s+/).map(Number)).filter(([child]) => child !== ps.pid);
  const below = (parent: number): number[] =>
    table.flatMap(([child = 0, itsParent]) => (itsParent === parent ? [child, ...below(child)] : []));
  return below(pid);
}
