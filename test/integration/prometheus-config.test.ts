import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { run } from '../../src/embedded/run.ts';
import { scrapeJobs } from '../../src/slo/queries.ts';
import { prometheusTools } from '../support/prometheus-tools.ts';

const file = join(fileURLToPath(new URL('../../ops/prometheus', import.meta.url)), 'prometheus.yml');

it('promtool takes the configuration, with the rule files that lie beside it', async () => {
  const { code, output } = await run(prometheusTools().promtool, ['check', 'config', file]);
  expect(output).toContain(`SUCCESS: ${file} is valid prometheus config file`);
  expect(code).toBe(0);
});

it('it scrapes the jobs that the rules tell processes by, each replica by itself', async () => {
  const { scrape_configs: scrapes } = z
    .object({
      scrape_configs: z.array(
        z.object({ job_name: z.string(), dns_sd_configs: z.array(z.object({ port: z.int() })).optional() }),
      ),
    })
    .parse(parse(await readFile(file, 'utf8')));
  expect(scrapes.map((scrape) => scrape.job_name)).toEqual(scrapeJobs);
  const replicated = scrapes.filter((scrape) => scrape.dns_sd_configs).map((scrape) => scrape.job_name);
  expect(replicated).toEqual(['evenkeel-api', 'evenkeel-worker', 'evenkeel-sdk']);
});
