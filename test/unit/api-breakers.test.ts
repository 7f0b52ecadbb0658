import { describe, expect, test } from 'vitest';
import { type BreakerApiDeps, breaker, breakerRoutes } from '../../src/api/breakers.ts';
import { ApiProblem } from '../../src/api/problems.ts';
import { type BreakerView, breakerNames } from '../../src/domain/breakers.ts';
import { DomainFailure } from '../../src/domain/failures.ts';
import { runContext } from './api-access-fakes.ts';

const at = '2026-01-02T03:04:05.000Z';
const viewOf = (name: BreakerView['name'], forced: Partial<BreakerView['forced']> = {}): BreakerView => ({
  name,
  forced: { state: 'auto', reason: null, actor: null, at: null, ...forced },
  workers: [{ name, worker: 'host:1', state: 'open', since: at, calls: 12, failures: 7, toldAt: at }],
  transitions: [{ at, worker: 'host:1', from: 'closed', to: 'open', cause: '7 of 12 calls failed' }],
});

function fakes() {
  const forcings: unknown[] = [];
  const deps: BreakerApiDeps = {
    breakers: {
      list: () => Promise.resolve(breakerNames.map((name) => viewOf(name))),
      force(name, forcing) {
        forcings.push([name, forcing]);
        return Promise.resolve(viewOf(name, { ...forcing, at }));
      },
    },
  };
  const run = async (operationId: string, name?: string, body?: unknown) => {
    const operation = breakerRoutes(deps).find((route) => route.operationId === operationId);
    const raw = {
      path: name === undefined ? {} : { name },
      query: {},
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      body: Buffer.from(body === undefined ? '' : JSON.stringify(body)),
    };
    return (await operation?.run(raw, runContext()))?.json;
  };
  return { deps, forcings, run };
}

describe('breakers', () => {
  test('are all shown, whether any process has told of them or not', async () => {
    const { run } = fakes();
    expect(await run('listBreakers')).toEqual({ data: breakerNames.map((name) => viewOf(name)) });
  });

  test('are shown by their name as their schema says', async () => {
    const shown = await fakes().run('getBreaker', 'carrier');
    expect(breaker.parse(shown)).toEqual(viewOf('carrier'));
  });

  test.each(['getBreaker', 'forceBreaker'])('that there are none of are not found by %s', async (operationId) => {
    const refusal = fakes().run(operationId, '__proto__', { state: 'open', reason: 'x' });
    await expect(refusal).rejects.toThrow(ApiProblem);
    await expect(refusal).rejects.toMatchObject({ code: 'not_found' });
  });

  test.each([
    ['a state that nobody can force', { state: 'half-open', reason: 'x' }],
    ['no reason', { state: 'open' }],
    ['an empty reason', { state: 'open', reason: ' ' }],
    ['what is not known', { state: 'open', reason: 'x', forSeconds: 5 }],
  ])('are not forced by %s', async (_, body) => {
    const { run, forcings } = fakes();
    await expect(run('forceBreaker', 'carrier', body)).rejects.toMatchObject({ code: 'invalid_input' });
    expect(forcings).toEqual([]);
  });

  test('are forced by who calls, or in the name of whom it says, with the record of the audit log', async () => {
    const { run, forcings } = fakes();
    await run('forceBreaker', 'carrier', { state: 'open', reason: 'they asked us to' });
    await run('forceBreaker', 'carrier', { state: 'auto', reason: 'over', actor: 'ada' });
    expect(forcings).toEqual([
      ['carrier', { state: 'open', reason: 'they asked us to', actor: 'key:admin', auditId: 'aud-1' }],
      ['carrier', { state: 'auto', reason: 'over', actor: 'ada', auditId: 'aud-1' }],
    ]);
  });

  test('cannot be seen or forced while the store is away', async () => {
    const { run, deps } = fakes();
    const away = () => Promise.reject(new DomainFailure('store_unavailable', 'away'));
    Object.assign(deps.breakers, { list: away, force: away });
    await expect(run('listBreakers')).rejects.toMatchObject({ code: 'store_unavailable' });
    const forcing = run('forceBreaker', 'risk', { state: 'open', reason: 'x' });
    await expect(forcing).rejects.toMatchObject({ code: 'store_unavailable' });
  });

  test('are forced by audited requests of those who may, and seen in spite of any overload', () => {
    const routes = breakerRoutes(fakes().deps);
    const shown = routes.map(({ operationId, access, audited = false, priority }) => [
      operationId,
      access,
      audited,
      priority,
    ]);
    expect(shown).toEqual([
      ['listBreakers', 'operations:read', false, 'critical'],
      ['getBreaker', 'operations:read', false, 'critical'],
      ['forceBreaker', 'breakers:write', true, undefined],
    ]);
  });
});
