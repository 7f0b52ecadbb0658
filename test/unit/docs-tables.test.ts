import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { expect, it } from 'vitest';
import { tables } from './docs-tables.ts';

const pages = [
  'configuration.md',
  'orders.md',
  'objectives.md',
  'alerting.md',
  'metrics.md',
  'tracing.md',
  'security.md',
] as const;
const pathOf = (page: string): string => fileURLToPath(new URL(`../../docs/${page}`, import.meta.url));
const place = /(?<begin><!-- table (?<name>\w+) -->\n)[^]*?(?<end><!-- end -->)/g;

/** The page with every table made anew. */
async function renewed(page: string): Promise<string> {
  const text = readFileSync(pathOf(page), 'utf8').replace(
    place,
    (whole: string, begin: string, name: string, end: string) => {
      if (!isTable(name))
        throw new Error(`${page} asks for a table '${name}'; there are ${Object.keys(tables).join(', ')}`);
      return `${begin}\n${tables[name]()}\n\n${end}`;
    },
  );
  return format(text, { ...(await resolveConfig(pathOf(page))), parser: 'markdown' });
}

function isTable(name: string): name is keyof typeof tables {
  return Object.hasOwn(tables, name);
}

it.each(pages)('%s says what the code says; if not, `npm run docs` rewrites it', async (page) => {
  await expect(await renewed(page)).toMatchFileSnapshot(pathOf(page));
});

it('every table stands on a page', () => {
  const placed = pages.flatMap((page) =>
    [...readFileSync(pathOf(page), 'utf8').matchAll(place)].map((match) => match.groups?.['name'] ?? ''),
  );
  expect(placed.toSorted()).toEqual(Object.keys(tables).toSorted());
});
