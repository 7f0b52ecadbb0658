import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';

/** Listens, and then does nothing else for ever: nobody takes what the system has accepted. */
const program = `
  const server = require('node:net').createServer();
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    require('node:fs').writeSync(1, String(server.address().port) + '\\n');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
`;
/** What Linux keeps for a backlog of 1, before it lets connections wait. */
const ACCEPTED = 2;

export interface DeafListener {
  readonly port: number;
  stop(): Promise<void>;
}

/** A port where no connection comes about any more, nor is refused: as behind a firewall that drops packets. */
export async function deafListener(): Promise<DeafListener> {
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const port = Number(line.toString());
  const sockets = Array.from({ length: ACCEPTED }, () => connect(port, '127.0.0.1'));
  for (const socket of sockets) socket.on('error', () => undefined);
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  return {
    port,
    async stop() {
      for (const socket of sockets) socket.destroy();
      child.kill('SIGKILL');
      await exited;
    },
  };
}
