import { createHash } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PartsError, errorCode } from './parts-error.ts';
import { type ProcessRef, type StopStep, isAlive, isGone, stopProcess, thisProcess } from './processes.ts';

export interface LockedPart extends ProcessRef {
  readonly name: string;
  readonly stop: readonly StopStep[];
}

/** What `<dataDir>/lock` holds: who uses the folder, and what runs on it, in the order of their start. */
export interface LockRecord {
  readonly owner: ProcessRef;
  readonly supervisor: ProcessRef | null;
  readonly parts: readonly LockedPart[];
}

/** A supervisor whose parent is gone stops its parts in less than this. */
const SUPERVISOR_STOP_MS = 60_000;

export function lockFile(dataDir: string): string {
  return join(dataDir, 'lock');
}

/** Who holds this may replace the lock at `file` that was read as `found`: one of all that found it so. */
export function successionFile(file: string, found: string): string {
  return `${file}.${createHash('sha256').update(found).digest('hex').slice(0, 16)}`;
}

/**
 * Takes the folder for this process. What a killed run left behind is stopped first. Throws a `PartsError` that names
 * the pid if another process uses the folder.
 */
export async function acquireLock(dataDir: string, report: (line: string) => void): Promise<LockRecord> {
  const mine: LockRecord = { owner: thisProcess(), supervisor: null, parts: [] };
  await take(lockFile(dataDir), mine, dataDir, report);
  return mine;
}

/** Rewrites the lock of a folder that is ours; readers see the old or the new one, never half of one. */
export function writeLock(file: string, record: LockRecord): void {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(record));
  renameSync(draft, file);
}

/** Gives the folder back, if it is still `owner`'s. */
export function releaseLock(file: string, owner: ProcessRef): void {
  const record = parseLock(readText(file) ?? '');
  if (record?.owner.pid === owner.pid && record.owner.startedAt === owner.startedAt) rmSync(file, { force: true });
}

/** Stops what the folder's lock says of `owner`'s parts; for a parent whose supervisor is gone. */
export async function stopLockedParts(file: string, owner: ProcessRef): Promise<void> {
  const record = parseLock(readText(file) ?? '');
  if (record?.owner.pid === owner.pid) await stopParts(record.parts);
}

/**
 * Makes `mine` the lock at `file`, unless a living process has it. A stale lock is replaced, never removed first: into
 * the gap one process would step while another, which had read the stale one too, removed what a third had put there.
 * The right to replace it is a lock of its own, which another takes over in the same way if its holder is killed.
 */
async function take(file: string, mine: LockRecord, dataDir: string, report: (line: string) => void): Promise<void> {
  for (;;) {
    if (createLock(file, mine)) return;
    const found = readText(file);
    if (found === undefined) continue; // released just now
    const record = parseLock(found);
    if (record && isAlive(record.owner)) throw inUse(dataDir, record.owner.pid);
    // oxlint-disable-next-line no-await-in-loop -- the next round needs what this one clears away
    if (record) await clearAway(record, report);
    const succession = successionFile(file, found);
    // oxlint-disable-next-line no-await-in-loop -- the same
    await take(succession, mine, dataDir, report);
    try {
      if (readText(file) === found) return writeLock(file, mine);
    } finally {
      rmSync(succession, { force: true });
    }
  }
}

async function clearAway(record: LockRecord, report: (line: string) => void): Promise<void> {
  const { supervisor, parts } = record;
  if (supervisor && isAlive(supervisor)) {
    report('waiting for the parts of the run before to stop');
    if (!(await isGone(supervisor, SUPERVISOR_STOP_MS))) await stopProcess(supervisor, []);
  }
  const left = parts.filter((part) => isAlive(part));
  if (left.length > 0) report(`stopping what a killed run left behind: ${left.map((part) => part.name).join(', ')}`);
  await stopParts(left);
}

async function stopParts(parts: readonly LockedPart[]): Promise<void> {
  for (const part of parts.toReversed()) {
    // oxlint-disable-next-line no-await-in-loop -- in reverse order of their start, PostgreSQL last
    await stopProcess(part, part.stop);
  }
}

/** Creates the lock with its whole content at once; false if there is one already. */
function createLock(file: string, record: LockRecord): boolean {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(record));
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function inUse(dataDir: string, pid: number): PartsError {
  return new PartsError(
    `Evenkeel already runs on ${dataDir} (pid ${pid}). Stop it with Ctrl-C in its terminal or 'kill ${pid}', ` +
      `or choose another folder by EVENKEEL_DATA_DIR and other ports.`,
  );
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Undefined for a file that no Evenkeel wrote: it names nobody, so that nobody is asked. */
function parseLock(text: string): LockRecord | undefined {
  try {
    const record = JSON.parse(text) as Partial<LockRecord> | null;
    if (typeof record?.owner?.pid !== 'number' || !Array.isArray(record.parts)) return undefined;
    return { owner: record.owner, supervisor: record.supervisor ?? null, parts: record.parts };
  } catch {
    return undefined;
  }
}
