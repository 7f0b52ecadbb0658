/** Proves that the linter keeps the rooms apart: it skips, without a word, a pattern that its engine cannot read. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';

const root = fileURLToPath(new URL('../..', import.meta.url));

interface Room {
  /** As the configuration names it. */
  readonly files: string;
  /** Where the snippets are put. */
  readonly folder: string;
  readonly forbidden: readonly string[];
  readonly allowed: readonly string[];
  /** Whether `import type` may come from anywhere. */
  readonly typesFree: boolean;
}

const rooms: readonly Room[] = [
  {
    files: 'src/domain/**',
    folder: 'src/domain',
    forbidden: [
      '../config.ts',
      '../telemetry/log.ts',
      '../adapters/postgres/stock.ts',
      './../app.ts',
      'pg',
      'zod',
      'node:fs',
    ],
    allowed: ['./order.ts'],
    typesFree: false,
  },
  {
    files: 'src/workflows/**',
    folder: 'src/workflows',
    forbidden: [
      '../activities/activities.ts',
      '../telemetry/log.ts',
      '../config.ts',
      '@temporalio/client',
      '@temporalio/workflow/lib/interceptors',
      'node:crypto',
      'pino',
    ],
    allowed: ['./saga.ts', '../domain/order.ts', '@temporalio/workflow', '@temporalio/common'],
    typesFree: true,
  },
  {
    files: 'src/activities/**',
    folder: 'src/activities',
    forbidden: [
      '../adapters/postgres/stock.ts',
      '../workflows/contract.ts',
      '../telemetry/log.ts',
      'pg',
      '@temporalio/client',
    ],
    allowed: ['./attempt.ts', '../domain/failures.ts', '@temporalio/activity', '@temporalio/common'],
    typesFree: true,
  },
  {
    files: 'src/adapters/**',
    folder: 'src/adapters/postgres',
    forbidden: [
      '../http/carrier.ts',
      '../../api/app.ts',
      '../../config.ts',
      '../../telemetry/log.ts',
      '../../workflows/order.ts',
      '../../telemetry/metrics.ts',
      'prom-client',
      '@opentelemetry/api',
    ],
    allowed: ['./database.ts', '../../domain/step-ports.ts', '../../workflows/contract.ts', 'pg', 'node:crypto'],
    typesFree: true,
  },
  {
    files: 'src/delivery/**',
    folder: 'src/delivery',
    forbidden: ['../telemetry/metrics.ts', '../telemetry/log.ts', 'prom-client', '@opentelemetry/api'],
    allowed: ['./relay.ts', '../domain/delivery.ts', '../bounded.ts'],
    typesFree: true,
  },
  {
    files: 'src/resilience/**',
    folder: 'src/resilience',
    forbidden: [
      '../telemetry/metrics.ts',
      '../telemetry/log.ts',
      '../adapters/http/carrier.ts',
      '../delivery/outage.ts',
      '../config.ts',
      'prom-client',
      '@opentelemetry/api',
    ],
    allowed: ['./breaker.ts', '../domain/failures.ts', 'node:timers/promises'],
    typesFree: true,
  },
  {
    files: 'src/api/**',
    folder: 'src/api',
    forbidden: [
      '../adapters/postgres/intake.ts',
      '../workflows/order.ts',
      '../delivery/handover.ts',
      '../slo/files.ts',
      '../config.ts',
    ],
    allowed: [
      './route.ts',
      '../domain/order.ts',
      '../telemetry/log.ts',
      '../workflows/contract.ts',
      '../slo/budget.ts',
      'express',
    ],
    typesFree: true,
  },
  {
    files: 'src/audit/**',
    folder: 'src/audit',
    forbidden: ['../adapters/postgres/audit-records.ts', '../config.ts', '../commands/audit.ts', 'pg', 'node:fs'],
    allowed: ['./records.ts', '../domain/consumers.ts'],
    typesFree: true,
  },
  {
    files: 'src/telemetry/**',
    folder: 'src/telemetry',
    forbidden: ['../api/app.ts', '../adapters/postgres/orders.ts', '../config.ts'],
    allowed: ['./log.ts', '../domain/failures.ts', 'pino'],
    typesFree: true,
  },
  {
    files: 'src/slo/**',
    folder: 'src/slo',
    forbidden: [
      '../telemetry/metrics.ts',
      '../api/app.ts',
      '../config.ts',
      '../commands/slo.ts',
      'node:fs/promises',
      'pg',
    ],
    allowed: ['./budget.ts', '../domain/objectives.ts', '../telemetry/metric-names.ts', 'yaml', 'zod'],
    typesFree: true,
  },
  {
    files: 'src/sandbox/**',
    folder: 'src/sandbox',
    forbidden: ['../domain/money.ts', '../telemetry/log.ts', '../config.ts'],
    allowed: ['./ledger.ts', 'node:fs', 'zod'],
    typesFree: false,
  },
];

const report = z.object({ diagnostics: z.array(z.object({ code: z.string(), filename: z.string() })) });

let copy: string;
let refused: ReadonlySet<string>;

/** The snippet of one import, in a place of its own; `kind` tells the forms of an import apart. */
function place(room: Room, kind: string, specifier: string): string {
  return `${room.folder}/${kind}-${specifier.replace(/\W/g, '_')}.ts`;
}

beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), 'evenkeel-rooms-'));
  copyFileSync(join(root, '.oxlintrc.json'), join(copy, '.oxlintrc.json'));
  const write = (file: string, text: string): void => {
    mkdirSync(dirname(join(copy, file)), { recursive: true });
    writeFileSync(join(copy, file), text);
  };
  for (const room of rooms) {
    for (const specifier of [...room.forbidden, ...room.allowed]) {
      write(place(room, 'value', specifier), `import { thing } from '${specifier}';\nexport const used = thing;\n`);
      write(place(room, 'again', specifier), `export { thing } from '${specifier}';\n`);
      write(place(room, 'later', specifier), `export const used = () => import('${specifier}');\n`);
      write(place(room, 'type', specifier), `import type { thing } from '${specifier}';\nexport type Used = thing;\n`);
    }
  }
  const oxlint = join(root, 'node_modules/.bin/oxlint');
  const { stdout } = spawnSync(oxlint, ['--format', 'json', 'src'], { cwd: copy, encoding: 'utf8' });
  const { diagnostics } = report.parse(JSON.parse(stdout));
  refused = new Set(
    diagnostics.filter(({ code }) => code.includes('no-restricted-imports')).map(({ filename }) => filename),
  );
});

afterAll(() => rmSync(copy, { recursive: true, force: true }));

describe.each(rooms)('in $files', (room) => {
  it.each(room.forbidden)('the linter refuses to import from %s, in any form', (specifier) => {
    const forms = room.typesFree ? ['value', 'again', 'later'] : ['value', 'again', 'later', 'type'];
    expect(forms.filter((kind) => !refused.has(place(room, kind, specifier)))).toEqual([]);
  });

  it.each(room.allowed)('the linter lets %s in', (specifier) => {
    expect(['value', 'again', 'later', 'type'].filter((kind) => refused.has(place(room, kind, specifier)))).toEqual([]);
  });

  it.each(room.typesFree ? room.forbidden : [])('types may come from %s', (specifier) => {
    expect(refused).not.toContain(place(room, 'type', specifier));
  });
});

it('every room with a rule is proved here', () => {
  const config = z
    .object({ overrides: z.array(z.object({ files: z.array(z.string()), rules: z.record(z.string(), z.unknown()) })) })
    .parse(JSON.parse(readFileSync(join(root, '.oxlintrc.json'), 'utf8')));
  const ruled = config.overrides.filter(({ rules }) => 'no-restricted-imports' in rules).flatMap(({ files }) => files);
  expect(rooms.map(({ files }) => files).toSorted()).toEqual(ruled.toSorted());
});
