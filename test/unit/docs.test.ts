import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { inCheckout, problemsOf } from './docs-commands.ts';
import { commandsOf } from './docs-shell.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const pages = globSync(['*.md', 'docs/**/*.md'], { cwd: root }).toSorted();
const read = (page: string): string => readFileSync(join(root, page), 'utf8');
const fence = /^```(?<language>\w*)\n(?<content>[^]*?)^```$/gm;

/** `sh`: can be run in order with Evenkeel running; `shell`: commands to choose from. */
function scripts(page: string): string[] {
  const blocks = [...read(page).matchAll(fence)].map(({ groups = {} }) => groups);
  return blocks.flatMap(({ language = '', content = '' }) => (['sh', 'shell'].includes(language) ? [content] : []));
}

function codeSpans(page: string): string[] {
  return [
    ...read(page)
      .replaceAll(fence, '')
      .matchAll(/`([^`\n]+)`/g),
  ].map(([, span = '']) => span);
}

describe.each(pages)('%s', (page) => {
  it('shows only commands that exist, with words and bodies that they take', async () => {
    const inline = codeSpans(page).filter((span) => /^(npm|npx|evenkeel|node) [a-z]/.test(span));
    expect((await Promise.all([...scripts(page), ...inline].map(problemsOf))).flat()).toEqual([]);
  });

  it('names only files that exist', () => {
    const paths = codeSpans(page).filter((span) =>
      /^(src|test|docs|bin|\.ci|\.github)\/|^[\w-]+\/[\w./-]+\.ts$/.test(span),
    );
    expect(paths.filter((path) => !inCheckout(path) && !inCheckout(`src/${path}`))).toEqual([]);
  });

  it('links only to pages that exist', () => {
    const targets = [...read(page).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, target = '']) => target);
    expect(targets.filter((target) => !inCheckout(join(dirname(page), target)))).toEqual([]);
  });
});

it('the README shows how to order, decide, cancel and submit a file', () => {
  const commands = scripts('README.md')
    .flatMap(commandsOf)
    .map((words) => words.join(' '));
  for (const part of ['/v1/orders ', '/decisions', '/cancel', 'npx evenkeel submit']) {
    expect(commands.filter((command) => command.includes(part))).not.toEqual([]);
  }
});

describe('a command in a document is refused', () => {
  const api = 'http://127.0.0.1:8080';
  const json = "-H 'Content-Type: application/json'";
  it.each([
    ['npm run nothing', "package.json has no script 'nothing'"],
    ['npm start -- --no-such', 'evenkeel start has no --no-such'],
    ['npx evenkeel sumbit file', "evenkeel has no command 'sumbit'"],
    ['npx evenkeel consumers shew warehouse', 'evenkeel consumers has no shew'],
    ['docker compose restart wroker', "docker-compose.yml has no service 'wroker'"],
    ['docker compose up -d worker', "'up worker' may replace what runs"],
    ['docker compose up -d --scale worker=4', 'forgets --scale'],
    ['docker compose exec api node dist/main.js adit', "evenkeel has no command 'adit'"],
    ['docker compose exec worker node ops/none.js', 'there is no ops/none.js to run'],
    ['docker compose run --rm --entrypoint tmeporal temporal-setup env', "nobody knows whether 'tmeporal' is right"],
    ['echo EVENKEEL_WORKRES=4 >> .env', 'docker-compose.yml does not read EVENKEEL_WORKRES'],
    ['ops/compose/roll-uot.sh image', 'there is no ops/compose/roll-uot.sh to run'],
    ['curl -sS http://127.0.0.1:9090/api/v1/alert', 'nobody knows of get http://127.0.0.1:9090/api/v1/alert'],
    [`curl -sS -X POST "$PAYMENT_GATEWAY_URL/faults" -d '{"dependency": "payment"}'`, 'at dependency'],
    ['npx evenkeel orders --attentive', 'evenkeel orders has no --attentive'],
    ['echo "$(npx evenkeel order --no)"', "nobody knows whether 'echo' is right"],
    ['x=$(npx evenkeel order --no | cat)', 'evenkeel order has no --no'],
    ['EVENKEEL_PORT=1 npm start', 'there is no setting EVENKEEL_PORT'],
    ['node test/nothing.ts', 'there is no test/nothing.ts to run'],
    ['npx vitest run --project none', "vitest has no project 'none'"],
    [`curl -sS ${api}/v1/order`, 'the API has no GET /v1/order'],
    [`curl -sS -X PUT ${api}/v1/orders/$id/cancel`, 'the API has no PUT /v1/orders/'],
    [`curl -sS http://localhost:9000/livez`, 'localhost:9000 is not where the API listens'],
    [`curl -sS '${api}/v1/orders?state=x'`, 'the query of GET /v1/orders'],
    [`curl -sS ${api}/v1/orders ${json} -d '{}'`, 'the headers of POST /v1/orders'],
    [
      `curl -sS ${api}/v1/orders ${json} \\\n  -H 'Idempotency-Key: a' -d '{"customer": 1}'`,
      'the body of POST /v1/orders',
    ],
    [`curl -sS -X PUT ${api}/v1/stock/A -d '{"onHand": 1}'`, 'the body is sent without Content-Type: application/json'],
  ])('%s', async (script, problem) => {
    expect((await problemsOf(script)).join('\n')).toContain(problem);
  });
});

it('a script is read as the shell reads it', () => {
  const script = `# first\na 'b c' "d\\"e$f" g\\ h \\\n  i > file\nx=$(j | k 'l)') && m; n <<'END'\nignored 'text\nEND\no`;
  expect(commandsOf(script)).toEqual([
    ['a', 'b c', 'd"e$f', 'g h', 'i'],
    ['x='],
    ['j'],
    ['k', 'l)'],
    ['m'],
    ['n'],
    ['o'],
  ]);
});
