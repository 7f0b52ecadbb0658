import { DatabaseError } from 'pg';
import { describe, expect, test } from 'vitest';
import { asFailure } from '../../src/adapters/postgres/failures.ts';
import { DomainFailure } from '../../src/domain/failures.ts';

const sqlState = (code: string): DatabaseError => Object.assign(new DatabaseError('no', 2, 'error'), { code });
const socket = (code: string): Error => Object.assign(new Error('no'), { code });

describe('asFailure', () => {
  test.each([
    ['a connection that is refused', socket('ECONNREFUSED')],
    ['a connection that is reset', socket('ECONNRESET')],
    ['every address of a name refused', new AggregateError([socket('ECONNREFUSED'), socket('EHOSTUNREACH')])],
    ['a connection that ended', new Error('Connection terminated unexpectedly')],
    ['a pool without a free connection', new Error('timeout exceeded when trying to connect')],
    ['a server that shuts down', sqlState('57P01')],
    ['a server that starts up', sqlState('57P03')],
    ['a statement that took too long', sqlState('57014')],
    ['a lock that took too long', sqlState('55P03')],
    ['a deadlock', sqlState('40P01')],
    ['a serialization failure', sqlState('40001')],
    ['too many connections', sqlState('53300')],
    ['a full disk', sqlState('53100')],
    ['a standby that takes no writes', sqlState('25006')],
    ['a transaction that was idle for too long', sqlState('25P03')],
  ])('takes %s for an outage that may pass', (_, error) => {
    expect(asFailure(error)).toMatchObject({ code: 'store_unavailable', retryAfterMs: 1000, cause: error });
  });

  test.each([
    ['a broken rule of a table', sqlState('23514')],
    ['a double key', sqlState('23505')],
    ['a syntax error', sqlState('42601')],
    ['a bug of ours', new TypeError('x is not a function')],
    ['a failure of the domain', new DomainFailure('not_found', 'There is none.')],
  ])('leaves %s as it is', (_, error) => {
    expect(asFailure(error)).toBe(error);
  });
});
