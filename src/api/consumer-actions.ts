import { z } from 'zod';
import type { Audit, ConsumerView } from '../domain/consumer-ports.ts';
import { DomainFailure } from '../domain/failures.ts';
import { sendPing } from './consumer-ping.ts';
import { consumer, consumerWithSecret, pingResult, shownWithSecret } from './consumer-schemas.ts';
import { changeConsumer, changedAnswer, etagHeader, expectedVersion, noSuchConsumer } from './consumers.ts';
import type { ApiDeps } from './deps.ts';
import { etagOf } from './etag.ts';
import { ApiProblem } from './problems.ts';
import { type RequestContext, type Route, route } from './route.ts';
import { audit, named, uuidPath } from './schemas.ts';

const action = z.strictObject(audit);
named.add(action, { id: 'Action' });

const turns = {
  pause: {
    to: 'paused',
    operationId: 'pauseConsumer',
    summary: 'Send a consumer nothing for a while',
    description:
      'Its deliveries are held: written, not sent, and not aging. Pausing a paused one changes nothing; a disabled one is sent nothing already (409).',
  },
  resume: {
    to: 'enabled',
    operationId: 'resumeConsumer',
    summary: 'Send a paused consumer what was held, and go on',
    description:
      'Resuming an enabled one changes nothing. A disabled one is refused (409): whoever enables it again, by PATCH, should know why it was disabled.',
  },
} as const;

const asItIs = { 200: { description: 'As it is now', schema: consumer, headers: etagHeader } };

/** What is done to a consumer beyond changing its fields. */
export function consumerActionRoutes(deps: ApiDeps): readonly Route[] {
  return [
    turningRoute(deps, 'pause'),
    turningRoute(deps, 'resume'),
    route({
      method: 'post',
      path: '/v1/consumers/{id}/rotate-secret',
      operationId: 'rotateConsumerSecret',
      access: 'consumers:write',
      audited: true,
      tag: 'Consumers',
      summary: 'Make a new secret',
      description:
        'For 24 h deliveries are signed with the new and the former secret. Only this answer shows the new one. `If-Match` must name the version, so that a repetition rotates nothing: a second rotation drops the secret before the former.',
      params: uuidPath,
      headers: z.object({ 'if-match': z.string().optional().describe('ETag of the consumer as you saw it; needed') }),
      body: action,
      bodyOptional: true,
      answers: {
        200: { description: 'With the new secret', schema: consumerWithSecret, headers: etagHeader },
      },
      problems: ['version_missing', 'version_mismatch', 'store_unavailable'],
      async handle({ params: { id }, headers: { 'if-match': ifMatch }, body: by }, context) {
        context.note({ consumerId: id });
        const expected = await expectedVersion(deps, id, ifMatch);
        if (expected === undefined) throw versionMissing(id);
        const rotated = await deps.consumers.rotateSecret(id, by, expected);
        return { status: 200, headers: { etag: etagOf(rotated.version) }, json: shownWithSecret(rotated) };
      },
    }),
    route({
      method: 'post',
      path: '/v1/consumers/{id}/ping',
      operationId: 'pingConsumer',
      access: 'consumers:write',
      audited: true,
      tag: 'Consumers',
      summary: 'Send a test event now and say what came of it',
      description:
        'An `evenkeel.ping.v1`, signed like every event, to a consumer of any state. It is not kept, not tried again, and no word on the health of the consumer.',
      params: uuidPath,
      answers: { 200: { description: 'What the attempt came to, whether it failed or not', schema: pingResult } },
      problems: ['store_unavailable'],
      async handle({ params: { id } }, context) {
        context.note({ consumerId: id });
        return { status: 200, json: await sendPing(deps, id, context.signal) };
      },
    }),
  ];
}

function turningRoute(deps: ApiDeps, name: keyof typeof turns): Route {
  const { to, ...described } = turns[name];
  return route({
    method: 'post',
    path: `/v1/consumers/{id}/${name}`,
    ...described,
    access: 'consumers:write',
    audited: true,
    tag: 'Consumers',
    params: uuidPath,
    body: action,
    bodyOptional: true,
    answers: asItIs,
    problems: ['conflict', 'store_unavailable'],
    handle: async ({ params: { id }, body: by }, context) => changedAnswer(await turn(deps, context, id, { to, by })),
  });
}

/** How often a change that came in between is looked at anew. */
const maxLooks = 3;

/** From one state to another; a consumer that is there already stays as it is. Throws `conflict` for a disabled one. */
async function turn(
  deps: ApiDeps,
  context: RequestContext,
  id: string,
  wish: { readonly to: 'enabled' | 'paused'; readonly by: Audit },
): Promise<ConsumerView> {
  for (let look = 1; ; look += 1) {
    const seen = await deps.consumers.find(id);
    if (seen === undefined) throw noSuchConsumer(id);
    if (seen.state === wish.to) return seen;
    if (seen.state === 'disabled') throw disabled(seen);
    try {
      const change = { state: wish.to };
      return await changeConsumer(deps, context, id, { change, expected: seen.version, by: wish.by });
    } catch (error) {
      const changed = error instanceof DomainFailure && error.code === 'version_mismatch';
      if (!changed || look === maxLooks) throw error;
    }
  }
}

function disabled({ id, stateReason }: ConsumerView): DomainFailure {
  const why = stateReason === null ? '' : ` (${stateReason})`;
  return new DomainFailure(
    'conflict',
    `consumer ${id} is disabled${why}; send PATCH /v1/consumers/${id} {"enabled": true} once that is seen to`,
  );
}

function versionMissing(id: string): ApiProblem {
  const detail = `is missing; send the ETag of GET /v1/consumers/${id}, so that a repetition rotates nothing`;
  return new ApiProblem('version_missing', `If-Match ${detail}`, { errors: [{ parameter: 'If-Match', detail }] });
}
