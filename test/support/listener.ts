import type { PartCommand } from '../../src/embedded/start-parts.ts';

/** A part that answers on its port, says so in its log, and can be told over HTTP to end by itself. */
export function listener(port: number): PartCommand {
  const program = `
    require('node:http').createServer((request, response) => {
      response.end('here');
      if (request.url === '/crash') { console.log('last words'); setImmediate(() => process.exit(3)); }
    }).listen(${port}, '127.0.0.1', () => console.log('listening'));
  `;
  return { command: process.execPath, args: ['-e', program], env: {} };
}
