import type { WorkflowHandle } from '@temporalio/client';

/** What happened in workflows, read off their histories: counts by what they are of, named as the metrics' labels are. */
export interface HistoryCounts {
  readonly attempts: Readonly<Record<string, number>>;
  readonly started: Readonly<Record<string, number>>;
  readonly closed: Readonly<Record<string, number>>;
  readonly told: Readonly<Record<string, number>>;
}

type Histories = Awaited<ReturnType<WorkflowHandle['fetchHistory']>>[];
type HistoryEvent = NonNullable<Histories[number]['events']>[number];

/** Counts over all runs. A local activity's attempts are one: ours are never tried again within the task. */
export function countHistories(histories: Histories): HistoryCounts {
  const counts = { attempts: new Tally(), started: new Tally(), closed: new Tally(), told: new Tally() };
  for (const { events } of histories) {
    const type = events?.[0]?.workflowExecutionStartedEventAttributes?.workflowType?.name ?? '';
    const activities = new Map<string, string>();
    const attempts = new Map<string, number>();
    for (const event of events ?? []) {
      countMarker(event, counts.attempts);
      const scheduled = event.activityTaskScheduledEventAttributes;
      if (scheduled) activities.set(String(event.eventId), scheduled.activityType?.name ?? '');
      const started = event.activityTaskStartedEventAttributes;
      if (started) attempts.set(String(started.scheduledEventId), started.attempt ?? 1);
      const completed = event.activityTaskCompletedEventAttributes;
      const failed = event.activityTaskFailedEventAttributes;
      const id = String((completed ?? failed)?.scheduledEventId);
      if (completed || failed) {
        const activity = activities.get(id) ?? '';
        counts.attempts.add(attempt(activity, false, 'failed'), (attempts.get(id) ?? 1) - 1);
        counts.attempts.add(attempt(activity, false, completed ? 'completed' : 'failed'));
      }
      if (event.workflowExecutionStartedEventAttributes) counts.started.add(`workflow=${type}`);
      const outcome = outcomeIn(event);
      if (outcome !== undefined) counts.closed.add(`outcome=${outcome},workflow=${type}`);
      const told =
        event.workflowExecutionSignaledEventAttributes?.signalName ??
        event.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest?.input?.name;
      if (told) counts.told.add(`message=${told}`);
    }
  }
  return {
    attempts: counts.attempts.counts,
    started: counts.started.counts,
    closed: counts.closed.counts,
    told: counts.told.counts,
  };
}

class Tally {
  readonly counts: Record<string, number> = {};

  add(what: string, count = 1): void {
    if (count > 0) this.counts[what] = (this.counts[what] ?? 0) + count;
  }
}

function attempt(activity: string, local: boolean, outcome: string): string {
  return `activity=${activity},local=${local},outcome=${outcome}`;
}

/** A local activity leaves a marker that says how it ended. */
function countMarker({ markerRecordedEventAttributes: marker }: HistoryEvent, attempts: Tally): void {
  if (marker?.markerName !== 'core_local_activity') return;
  const [payload] = marker.details?.['data']?.payloads ?? [];
  const data = JSON.parse(Buffer.from(payload?.data ?? []).toString()) as { readonly activity_type: string };
  attempts.add(attempt(data.activity_type, true, marker.failure ? 'failed' : 'completed'));
}

function outcomeIn(event: HistoryEvent): string | undefined {
  if (event.workflowExecutionCompletedEventAttributes) return 'completed';
  if (event.workflowExecutionFailedEventAttributes) return 'failed';
  if (event.workflowExecutionCanceledEventAttributes) return 'cancelled';
  return event.workflowExecutionContinuedAsNewEventAttributes ? 'continued' : undefined;
}
