import { z } from 'zod';
import type { AuditLog } from '../domain/access-ports.ts';
import { type Route, route } from './route.ts';
import { instant, moment, named, page, text } from './schemas.ts';

const outcomes = ['allowed', 'denied'] as const;

export const auditRecord = z.object({
  id: z.string(),
  at: instant,
  actor: z.string().describe('`key:<id>` of an API key, `<issuer>#<subject>` of a token, `cli:<user>` of a terminal'),
  roles: z.array(z.string()).describe('What it had then'),
  action: z.string().describe('`operationId` of the route, or a command such as `keys.create`'),
  outcome: z
    .enum(outcomes)
    .describe('`allowed` is written before the action: whether it then succeeded, its own records say'),
  subject: z.string().describe('What it was done to: the path'),
  reason: z.string().nullable().describe('Of what is done to an order it is with the order, and not here'),
  traceId: z.string().nullable(),
});
named.add(auditRecord, { id: 'AuditRecord' });

const auditPage = z.object({ data: z.array(auditRecord), nextCursor: z.string().nullable() });
named.add(auditPage, { id: 'AuditPage' });

/** Who did what that needs a privilege, and who tried to. */
export function auditRoutes({ auditLog }: { readonly auditLog: Pick<AuditLog, 'list'> }): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/audit',
      operationId: 'listAudit',
      access: 'audit:read',
      tag: 'Access',
      summary: 'List what was done and refused, newest first',
      description:
        'Every action that needs a privilege, before it is begun, and every refusal of one. Nothing in it is ever changed or deleted.',
      query: z.strictObject({
        actor: text(600).optional(),
        action: text(100).optional(),
        outcome: z.enum(outcomes).optional(),
        subject: text(500).optional().describe('The whole path: /v1/orders/{id}/cancel with its id'),
        since: moment.describe('Only from this moment on'),
        until: moment.describe('Only before this moment'),
        ...page,
      }),
      answers: { 200: { description: 'One page', schema: auditPage } },
      problems: ['invalid_input', 'store_unavailable'],
      handle: async ({ query }) => ({ status: 200, json: await auditLog.list(query) }),
    }),
  ];
}
