import { z } from 'zod';
import { DomainFailure } from '../domain/failures.ts';
import type { ApiDeps } from './deps.ts';
import { type Route, route } from './route.ts';
import { catalogItem, currency, named, sku, stockLevel, text, word } from './schemas.ts';

const newItem = z.strictObject({
  description: text(500),
  priceMinor: z.int().min(0).describe('In minor units of the currency: 255 is 2.55 GBP'),
  currency,
});
named.add(newItem, { id: 'NewCatalogItem' });

const newLevel = z.strictObject({
  onHand: z.int().min(0).max(1_000_000_000).describe('What is in the house, reserved pieces included'),
  location: word(64).default('main'),
});
named.add(newLevel, { id: 'NewStockLevel' });

const params = z.strictObject({ sku });

/** What can be sold, at which price, and how much of it is there. */
export function catalogRoutes({ catalog }: ApiDeps): readonly Route[] {
  return [
    route({
      method: 'put',
      path: '/v1/catalog/{sku}',
      operationId: 'putCatalogItem',
      access: 'catalog:write',
      audited: true,
      priority: 'normal',
      tag: 'Catalog',
      summary: 'Set the description and the price of an article',
      description: 'Orders keep the price that they were accepted at.',
      params,
      body: newItem,
      answers: { 200: { description: 'As it is now', schema: catalogItem } },
      problems: ['store_unavailable'],
      async handle({ params: wanted, body }) {
        return { status: 200, json: await catalog.put({ sku: wanted.sku, ...body }) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/catalog/{sku}',
      operationId: 'getCatalogItem',
      access: 'catalog:read',
      tag: 'Catalog',
      summary: 'Look at an article',
      params,
      answers: { 200: { description: 'The article', schema: catalogItem } },
      problems: ['store_unavailable'],
      async handle({ params: wanted }) {
        const item = await catalog.find(wanted.sku);
        if (item === undefined) throw unknownSku(wanted.sku);
        return { status: 200, json: item };
      },
    }),
    route({
      method: 'put',
      path: '/v1/stock/{sku}',
      operationId: 'putStock',
      access: 'catalog:write',
      audited: true,
      priority: 'normal',
      tag: 'Catalog',
      summary: 'Set how much of an article is at a location',
      params,
      body: newLevel,
      answers: { 200: { description: 'As it is now, over all locations', schema: stockLevel } },
      problems: ['not_found', 'conflict', 'store_unavailable'],
      async handle({ params: wanted, body }) {
        return { status: 200, json: await catalog.putStock(wanted.sku, body.location, body.onHand) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/stock/{sku}',
      operationId: 'getStock',
      access: 'catalog:read',
      tag: 'Catalog',
      summary: 'Look at the stock of an article',
      params,
      answers: { 200: { description: 'What was dispatched has left `onHand`', schema: stockLevel } },
      problems: ['store_unavailable'],
      async handle({ params: wanted }) {
        const level = await catalog.findStock(wanted.sku);
        if (level === undefined) throw unknownSku(wanted.sku);
        return { status: 200, json: level };
      },
    }),
  ];
}

function unknownSku(wanted: string): DomainFailure {
  const detail = `there is no article ${JSON.stringify(wanted)}; PUT /v1/catalog/{sku} makes one`;
  return new DomainFailure('not_found', detail);
}
