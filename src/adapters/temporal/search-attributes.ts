import type { Client } from '@temporalio/client';
import { orderAttentionKey, orderStatusKey } from '../../workflows/contract.ts';

/** temporal.api.enums.v1.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD */
const KEYWORD = 2;

/** Registers the search attributes that orders are found by; those that are there already stay. */
export async function ensureSearchAttributes(client: Client, namespace: string): Promise<void> {
  const { operatorService } = client.connection as unknown as OperatorConnection;
  const wanted = [orderStatusKey.name, orderAttentionKey.name];
  const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
  const missing = wanted.filter((name) => !Object.hasOwn(customAttributes, name));
  if (missing.length === 0) return;
  await operatorService.addSearchAttributes({
    namespace,
    searchAttributes: Object.fromEntries(missing.map((name) => [name, KEYWORD])),
  });
}

/** Both the client's and the worker's connection have it; the client's type does not say so. */
interface OperatorConnection {
  readonly operatorService: {
    listSearchAttributes(request: { namespace: string }): Promise<{ customAttributes: Record<string, number> }>;
    addSearchAttributes(request: { namespace: string; searchAttributes: Record<string, number> }): Promise<unknown>;
  };
}
