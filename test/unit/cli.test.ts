import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { main } from '../../src/cli.ts';
import { describeConfig } from '../../src/config.ts';
import { runCommand } from './submit-api.ts';

const cli = (...words: string[]) => runCommand(main, words);

describe('evenkeel', () => {
  test('names a command that there is not, shows those that there are, and answers 2', async () => {
    const { code, stdout, stderr } = await cli('sumbit');
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain("there is no command 'sumbit'");
    expect(stderr).toMatch(/^ {2}submit +submit orders from a file$/m);
  });

  test('answers 2 to words that a command cannot use, and points at its help', async () => {
    const { code, stderr } = await cli('order', 'seventeen');
    expect(code).toBe(2);
    expect(stderr).toContain("'seventeen' is no order's id");
    expect(stderr).toContain("See 'evenkeel order --help'.");
  });

  test('answers 1 to a failure, without a stack where the message says what to do', async () => {
    const { code, stderr } = await cli('orders', '--url', 'http://127.0.0.1:1');
    expect(code).toBe(1);
    expect(stderr).toContain('no answer from the API at http://127.0.0.1:1/');
    expect(stderr).not.toContain('at async');
  }, 15_000);

  test('a setting that cannot be used is named with its value', async () => {
    const { code, stderr } = await runCommand(main, ['orders'], { env: { EVENKEEL_HTTP_PORT: 'eighty' } });
    expect(code).toBe(1);
    expect(stderr).toContain('EVENKEEL_HTTP_PORT="eighty"');
  });

  test.each([[[]], [['help']], [['--help']], [['-h']]])('%j shows the commands', async (words) => {
    const { code, stdout } = await cli(...words);
    expect(code).toBe(0);
    expect(stdout).toContain('usage: evenkeel <command>');
  });

  test.each(['submit', 'orders', 'order'])("'help %s' is what its --help prints", async (name) => {
    const asked = await cli('help', name);
    expect(asked.stdout).toContain(`usage: evenkeel ${name}`);
    expect(asked).toEqual(await cli(name, '--help'));
  });

  test("'help config' names every setting with its default and meaning, within the terminal's width", async () => {
    const stdout = Object.assign(new PassThrough(), { columns: 80 });
    const printed = stdout.toArray();
    const signal = new AbortController().signal;
    expect(await main(['help', 'config'], { stdout, stderr: new PassThrough(), env: {}, signal })).toBe(0);
    stdout.end();
    const text = (await printed).map(String).join('');
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(text).toContain('EVENKEEL_HTTP_PORT=8080\n');
    for (const { name, meaning } of describeConfig()) {
      expect(text).toContain(`\n${name}`);
      expect(text.replaceAll(/\n {4}/g, ' ')).toContain(meaning);
    }
  });

  test("'help' about a command that there is not says so", async () => {
    expect(await cli('help', 'sumbit')).toMatchObject({ code: 2, stderr: expect.stringContaining("'sumbit'") });
  });
});
