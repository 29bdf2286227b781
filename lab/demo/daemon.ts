import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Pinhole } from '../../src/pinhole/pinhole.ts';
import { ADDRESSES, type Network, SIP_PORTS } from './network.ts';

/** What the daemon logged of a call. */
export interface CallEvent {
  readonly event: 'opened' | 'closed' | 'call-started' | 'call-ended' | 'refused';
  readonly callId: string;
  /** Why it closed, ended or was refused. */
  readonly reason: string | null;
  readonly pinholes: readonly Pinhole[];
}

export interface Daemon {
  /** Resolves once packets are taken. Rejects with what was said where the daemon could not start. */
  readonly running: Promise<void>;
  /** Lines of severity warning or worse. */
  readonly complaints: readonly string[];
  /** Ends it in good order. */
  stop(): Promise<number | null>;
}

const CONFIG = (directory: string) => `
inside: [${ADDRESSES.client}, ${ADDRESSES.server}]
sip-ports: [${SIP_PORTS.first}-${SIP_PORTS.last}]
denied-ports: [${SIP_PORTS.first}-${SIP_PORTS.last}]
platform: linux
log: { level: debug, format: json, call-id: plain, rate: 10000 }
control: { socket: ${join(directory, 'control.sock')} }
daemon:
  user: nobody
  group: nogroup
  pid-file: off
  journal: ${join(directory, 'journal', 'calls')}
`;

/** Starts `pinholed run` on the firewall; `tell` gets what it logs of calls. */
export function startDaemon(network: Network, directory: string, tell: (event: CallEvent) => void): Daemon {
  const config = join(directory, 'pinholed.yaml');
  writeFileSync(config, CONFIG(directory));
  const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
  const args = ['--import', 'tsx', main, 'run', '--drop', '--config', config];
  const child = network.start('firewall', process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const complaints: string[] = [];
  const said: string[] = [];
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const running = new Promise<void>((resolve, reject) => {
    void ended.then(() => reject(new Error(`pinholed ended:\n${said.join('\n')}`)));
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        said.push(line);
        const { level, msg, ...fields } = parse(line);
        if (msg.includes('pinholes taken up')) resolve();
        if (level >= 40) complaints.push(msg);
        if ('callId' in fields) tell({ reason: null, pinholes: [], ...fields } as unknown as CallEvent);
      });
    }
  });
  running.catch(() => {});
  return {
    running,
    complaints,
    stop() {
      child.kill('SIGTERM');
      return ended;
    },
  };
}

/** A line of the log (pino's levels: 40 is a warning), or what came from anything else that wrote there. */
function parse(line: string): { level: number; msg: string } {
  try {
    return JSON.parse(line);
  } catch {
    return { level: 50, msg: line };
  }
}
