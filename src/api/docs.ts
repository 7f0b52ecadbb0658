import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { openapiDocument } from './openapi.ts';
import { type Route, route } from './route.ts';
import { named } from './schemas.ts';

/** What the page may load: its own scripts and styles, nothing inline, nothing from elsewhere. */
const pagePolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Evenkeel API</title>
    <link rel="stylesheet" href="/docs/swagger-ui.css">
    <link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
  </head>
  <body>
    <main id="swagger-ui"><a href="/openapi.json">openapi.json</a></main>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`;

/** `validatorUrl` off: the page asks nobody outside. */
const start = `SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
`;

const assets = ['start.js', 'swagger-ui.css', 'swagger-ui-bundle.js', 'favicon-32x32.png'] as const;
type Asset = (typeof assets)[number];

const contentTypes: Readonly<Record<string, string>> = {
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  png: 'image/png',
};

const openapi = z.looseObject({ openapi: z.string(), paths: z.record(z.string(), z.unknown()) });
named.add(openapi, { id: 'OpenApiDocument' });

/** The description of `described` and of these routes themselves, for programs and for people. */
export function docsRoutes(described: readonly Route[], version: string): readonly Route[] {
  const own: readonly Route[] = [
    route({
      method: 'get',
      path: '/openapi.json',
      operationId: 'openapi',
      access: 'public',
      tag: 'Operations',
      summary: 'This description, in OpenAPI 3.1',
      answers: { 200: { description: 'The description', schema: openapi } },
      handle: () => Promise.resolve({ status: 200, bytes: document() }),
    }),
    route({
      method: 'get',
      path: '/docs',
      operationId: 'docs',
      access: 'public',
      tag: 'Operations',
      summary: 'This description, as a page',
      answers: { 200: { description: 'The page', contentType: 'text/html; charset=utf-8' } },
      handle: () => Promise.resolve({ status: 200, bytes: page, headers: { 'content-security-policy': pagePolicy } }),
    }),
    route({
      method: 'get',
      path: '/docs/{asset}',
      operationId: 'docsAsset',
      access: 'public',
      tag: 'Operations',
      summary: 'What the page is made of',
      params: z.strictObject({ asset: z.enum(assets) }),
      answers: { 200: { description: 'The file', contentType: '*/*' } },
      async handle({ params: { asset } }) {
        const contentType = contentTypes[asset.slice(asset.lastIndexOf('.') + 1)] ?? 'application/octet-stream';
        const headers = { 'content-type': contentType, 'cache-control': 'public, max-age=3600' };
        return { status: 200, bytes: asset === 'start.js' ? start : await bundled(asset), headers };
      },
    }),
  ];
  let written: string | undefined;
  const document = (): string => (written ??= JSON.stringify(openapiDocument([...described, ...own], version)));
  return own;
}

/** The page's program comes with us, for it must work where there is no way out. */
function bundled(asset: Exclude<Asset, 'start.js'>): Promise<Buffer> {
  return readFile(fileURLToPath(import.meta.resolve(`swagger-ui-dist/${asset}`)));
}
