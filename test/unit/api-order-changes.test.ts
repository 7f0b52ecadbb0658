import { describe, expect, test } from 'vitest';
import { DomainFailure } from '../../src/domain/failures.ts';
import { fakes, newOrder, orderId, orderView, problem, serve } from './api-fakes.ts';

const cancel = `/v1/orders/${orderId}/cancel`;
const decisions = `/v1/orders/${orderId}/decisions`;
const retry = { attentionId: 'att-1', action: 'retry', reason: 'the carrier is back', actor: 'Grace' };

describe('cancelling an order', () => {
  test.each([
    new DomainFailure('not_found', 'no such order'),
    new DomainFailure('not_cancellable', 'it was dispatched on Monday'),
    new DomainFailure('version_mismatch', 'it is at version 9'),
    new DomainFailure('store_unavailable', 'no database'),
  ])('that the store refuses with %o tells the workflow nothing', async (failure) => {
    const deps = fakes();
    deps.requests.cancel = () => Promise.reject(failure);
    const reply = await (await serve(deps))('POST', cancel);
    const status = { not_found: 404, not_cancellable: 409, version_mismatch: 412, store_unavailable: 503 }[
      failure.code as 'not_found'
    ];
    expect(reply.status).toBe(status);
    expect(reply.json).toMatchObject(problem(status, failure.code, { detail: failure.message }));
    expect(deps.calls).toEqual([]);
  });

  test.each<[string, unknown, string]>([
    ['an unknown field', { why: 'no' }, '/why'],
    ['a blank reason', { reason: '  ' }, '/reason'],
    ['a reason of 501 characters', { reason: 'x'.repeat(501) }, '/reason'],
    ['a list', [], ''],
  ])('with %s is refused at its place', async (_name, body, pointer) => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', cancel, { body });
    expect(reply.json).toMatchObject(problem(422, 'invalid_input', { errors: [{ pointer }] }));
    expect(deps.calls).toEqual([]);
  });

  test.each(['7', '"7', '"6", "7"', 'W7', ''])('with the malformed If-Match: %s is refused', async (tag) => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', cancel, { headers: { 'if-match': tag } });
    expect(reply.json).toMatchObject(problem(400, 'invalid_header', { errors: [{ parameter: 'If-Match' }] }));
    expect(deps.calls).toEqual([]);
  });

  test.each(['"other"', 'W/"7"', '"007"', '"-1"'])(
    'with If-Match: %s, which no version has, is refused as changed',
    async (tag) => {
      const deps = fakes();
      const reply = await (await serve(deps))('POST', cancel, { headers: { 'if-match': tag } });
      expect(reply.json).toMatchObject(problem(412, 'version_mismatch'));
      expect(deps.calls).toEqual([['views.find', orderId]]);
    },
  );

  test.each<[string, unknown, string | undefined, unknown]>([
    ['nothing', undefined, undefined, { reason: null }],
    ['an empty object', {}, undefined, { reason: null }],
    ['a null reason', { reason: null }, '*', { reason: null }],
    ['a reason and a version', { reason: 'too late' }, '"7"', { reason: 'too late', expectedVersion: 7 }],
  ])('with %s is kept, then told to the workflow', async (_name, body, tag, request) => {
    const deps = fakes();
    const headers = tag === undefined ? {} : { 'if-match': tag };
    const reply = await (await serve(deps))('POST', cancel, { body, headers });
    expect(reply.status).toBe(202);
    expect(reply.json).toEqual(orderView());
    expect(reply.headers.get('etag')).toBe('"7"');
    expect(reply.headers.get('location')).toBe(`/v1/orders/${orderId}`);
    expect(deps.calls).toEqual([
      ['requests.cancel', orderId, request],
      ['workflows.cancel', orderId],
    ]);
  });

  test('is accepted though Temporal is away', async () => {
    const deps = fakes();
    deps.workflows.cancel = () => Promise.reject(new DomainFailure('workflow_unavailable', 'no Temporal'));
    const reply = await (await serve(deps))('POST', cancel);
    expect(reply.status).toBe(202);
    expect(deps.lines[0]).toMatchObject({ level: 'warn', fields: { orderId } });
  });
});

describe('a decision', () => {
  const { name: _name, ...nameless } = newOrder.shippingAddress;
  test.each<[string, unknown, string]>([
    ['nothing', {}, '/attentionId'],
    ['an action that is none', { ...retry, action: 'forget' }, '/action'],
    ['nobody who decides', { ...retry, actor: ' ' }, '/actor'],
    ['no reason', { ...retry, reason: '' }, '/reason'],
    ['a correction that goes with no retry', { ...retry, correction: { paymentToken: 'tok_visa' } }, '/correction'],
    ['no correction where one is needed', { ...retry, action: 'retry_corrected' }, '/correction'],
    ['an empty correction', { ...retry, action: 'retry_corrected', correction: {} }, '/correction'],
    [
      'half an address',
      { ...retry, action: 'retry_corrected', correction: { shippingAddress: nameless } },
      '/correction/shippingAddress/name',
    ],
    ['a field too many', { ...retry, force: true }, '/force'],
  ])('with %s is refused at its place', async (_case, body, pointer) => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', decisions, { body });
    expect(reply.json).toMatchObject(
      problem(422, 'invalid_input', { errors: expect.arrayContaining([expect.objectContaining({ pointer })]) }),
    );
    expect(deps.calls).toEqual([]);
  });

  test.each(['attention_stale', 'decision_not_allowed'] as const)(
    'that the store refuses as %s is told to nobody',
    async (code) => {
      const deps = fakes();
      deps.requests.recordDecision = () => Promise.reject(new DomainFailure(code, 'look again'));
      const reply = await (await serve(deps))('POST', decisions, { body: retry });
      expect(reply.json).toMatchObject(problem(409, code));
      expect(deps.calls).toEqual([]);
    },
  );

  test.each([
    ['"6"', 412, 'version_mismatch'],
    ['six', 400, 'invalid_header'],
  ])('with If-Match: %s answers %i', async (tag, status, code) => {
    const deps = fakes();
    const reply = await (await serve(deps))('POST', decisions, { body: retry, headers: { 'if-match': tag } });
    expect(reply.json).toMatchObject(problem(status, code));
    expect(deps.calls.filter(([name]) => name !== 'views.find')).toEqual([]);
  });

  test.each(['attention_stale', 'decision_not_allowed'] as const)(
    'that the workflow answers with %s is recorded as refused',
    async (code) => {
      const deps = fakes();
      deps.workflows.decide = () => Promise.reject(new DomainFailure(code, 'no'));
      const reply = await (await serve(deps))('POST', decisions, { body: retry });
      expect(reply.json).toMatchObject(problem(409, code));
      expect(deps.calls).toEqual([
        ['requests.recordDecision', orderId, { ...retry, auditId: 'aud-1' }],
        ['requests.settleDecision', 'dec-1', 'refused', code],
      ]);
    },
  );

  test.each(['workflow_unavailable', 'store_unavailable'] as const)(
    'whose answer did not come (%s) is not called refused: it may have been accepted',
    async (code) => {
      const deps = fakes();
      deps.workflows.decide = () => Promise.reject(new DomainFailure(code, 'no', { retryAfterMs: 2_100 }));
      const reply = await (await serve(deps))('POST', decisions, { body: retry });
      expect(reply.json).toMatchObject(problem(503, code));
      expect(reply.headers.get('retry-after')).toBe('3');
      expect(deps.calls).toEqual([['requests.recordDecision', orderId, { ...retry, auditId: 'aud-1' }]]);
    },
  );

  test('that fails for a reason unknown is recorded as refused, and the reason stays with us', async () => {
    const deps = fakes();
    deps.workflows.decide = () => Promise.reject(new TypeError('internal detail'));
    const reply = await (await serve(deps))('POST', decisions, { body: retry });
    expect(reply.json).toMatchObject(problem(500, 'internal_error'));
    expect(reply.text).not.toContain('internal detail');
    expect(deps.calls.at(-1)).toEqual(['requests.settleDecision', 'dec-1', 'refused', 'failed']);
  });

  test('goes to the workflow and is recorded as accepted', async () => {
    const deps = fakes();
    const corrected = {
      ...retry,
      action: 'retry_corrected',
      correction: { shippingAddress: newOrder.shippingAddress },
    };
    const reply = await (await serve(deps))('POST', decisions, { body: corrected, headers: { 'if-match': '"7"' } });
    expect([reply.status, reply.json]).toEqual([
      202,
      { decisionId: 'dec-1', orderId, attentionId: 'att-1', action: 'retry_corrected' },
    ]);
    expect(deps.calls).toEqual([
      ['views.find', orderId],
      ['requests.recordDecision', orderId, { ...corrected, auditId: 'aud-1' }],
      [
        'workflows.decide',
        orderId,
        { attentionId: 'att-1', decisionId: 'dec-1', action: 'retry_corrected', auditId: 'aud-1' },
      ],
      ['requests.settleDecision', 'dec-1', 'accepted', null],
    ]);
  });

  test('about a lost workflow starts another', async () => {
    const deps = fakes();
    deps.requests.recordDecision = () => Promise.resolve({ decisionId: 'dec-2', step: 'workflow' });
    const reply = await (await serve(deps))('POST', decisions, { body: retry });
    expect(reply.status).toBe(202);
    expect(deps.calls).toEqual([
      ['workflows.restart', orderId, 'dec-2'],
      ['requests.settleDecision', 'dec-2', 'accepted', null],
    ]);
  });

  test('that the workflow accepted stands though it could not be recorded so', async () => {
    const deps = fakes();
    deps.requests.settleDecision = () => Promise.reject(new DomainFailure('store_unavailable', 'no database'));
    const reply = await (await serve(deps))('POST', decisions, { body: retry });
    expect(reply.status).toBe(202);
    expect(deps.lines[0]).toMatchObject({ level: 'warn', fields: { decisionId: 'dec-1', result: 'accepted' } });
  });
});
