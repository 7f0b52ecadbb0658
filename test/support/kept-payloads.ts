/** All that a Temporal namespace keeps of workflows, as its server gives it to whoever has no codec. */
import type { Client } from '@temporalio/client';
import type { Payload } from '@temporalio/common';

export interface Kept {
  /** Every text and every run of bytes, one below the other. */
  readonly texts: string;
  /** Every payload but those that are meant to be read by anybody. */
  readonly payloads: readonly Payload[];
  /** Where those that are not encrypted stand. */
  readonly plain: readonly string[];
}

/** Headers; search attributes; and what the SDK's core notes of a local activity beside its result: type, id, times. */
const OPEN = /header|searchAttributes|markerRecordedEventAttributes\.details\.data\b/i;

/** Histories of all workflows, what lists show of them, and schedules. */
export async function kept(client: Client): Promise<Kept> {
  const texts: string[] = [];
  const payloads: Payload[] = [];
  const plain = new Set<string>();
  const take = (value: unknown, where: string): void => {
    if (typeof value === 'string') texts.push(value);
    else if (value instanceof Uint8Array)
      texts.push(Buffer.from(value).toString('utf8'), Buffer.from(value).toString('base64'));
    else if (Array.isArray(value)) for (const one of value) take(one, where);
    else if (typeof value === 'object' && value !== null) {
      if (isPayload(value) && !OPEN.test(where)) {
        payloads.push(value);
        if (encodingOf(value) !== 'binary/encrypted') plain.add(where);
      }
      for (const [name, part] of Object.entries(value)) take(part, `${where}.${name}`);
    }
  };
  for await (const { workflowId, runId, raw } of client.workflow.list()) {
    take(raw, 'info');
    take(await client.workflow.getHandle(workflowId, runId).fetchHistory(), 'history');
  }
  for await (const { scheduleId } of client.schedule.list()) {
    take((await client.schedule.getHandle(scheduleId).describe()).raw, 'schedule');
  }
  return { texts: texts.join('\n'), payloads, plain: [...plain] };
}

function isPayload(value: object): value is Payload {
  return (
    'metadata' in value && typeof value.metadata === 'object' && value.metadata !== null && 'encoding' in value.metadata
  );
}

function encodingOf({ metadata }: Payload): string {
  return Buffer.from(metadata?.['encoding'] ?? []).toString('utf8');
}
