import type { z } from 'zod';
import { sloDetails, sloList, sloReport } from '../../api/slo-schemas.ts';
import type { ApiClient } from '../api-client.ts';

export type Slo = z.output<typeof sloList>['data'][number];
export type SloReport = z.output<typeof sloReport>;
export type ConsumerSli = NonNullable<z.output<typeof sloDetails>['consumers']>[number];

/** Every objective, as the API has it now. */
export async function allSlos(client: ApiClient): Promise<readonly Slo[]> {
  return sloList.parse((await client.get('/v1/slos')).body).data;
}

/** How each consumer does, worst first. */
export async function consumersOf(client: ApiClient): Promise<readonly ConsumerSli[]> {
  return sloDetails.parse((await client.get('/v1/slos/delivery-end-to-end')).body).consumers ?? [];
}

/** The month `2026-10`, in UTC, as far as it is counted. */
export async function reportOf(client: ApiClient, month: string): Promise<SloReport> {
  return sloReport.parse((await client.get(`/v1/slo-reports/${month}`)).body);
}

/** Behind by more than this, what was judged says nothing about now: twice what the alert SliJudgementStalled waits for. */
const STALE_MS = 4 * 60_000;

/** Of these, up to when everything is judged, where that is too long ago to say what is going on now. */
export function staleSince(slos: readonly Slo[], nowMs: number): string | undefined {
  const times = slos.flatMap(({ judgedUntil }) => judgedUntil ?? []).toSorted();
  const [oldest] = times;
  return oldest !== undefined && nowMs - Date.parse(oldest) > STALE_MS ? oldest : undefined;
}
