import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connectControl } from '../../../src/control/client.ts';
import type { CallResult, CallsResult } from '../../../src/control/protocol.ts';
import type { TwoWayTraffic } from '../../../src/firewall/firewall.ts';
import type { Pinhole } from '../../../src/pinhole/pinhole.ts';
import { udpPacket } from '../../packets.ts';
import { type Host, host, sdp, sip } from '../../scene.ts';

export const pbx = host('192.168.1.10');
export const provider = host('192.0.2.1');

export interface CallingDaemon {
  /** A call that is up; `from` and `to` are header values. */
  call(callId: string, from: string, to: string, port: number): Promise<void>;
  /** The PBX announces an address that is not its own. */
  foreign(callId: string): Promise<void>;
  /**
   * Packets come to the PBX at this port, and are sent from it, so many a second from now on. Resolves once the daemon has
   * counted some, and has noticed that none are sent.
   */
  talks(port: number, packets: number, sent: number): Promise<void>;
  close(): Promise<void>;
}

/** The daemon over a platform of files, with its control socket at the place where the pages of the root look for it. */
export async function startDaemon(folder: string, socket: string): Promise<CallingDaemon> {
  const files = join(folder, 'files');
  const config = join(folder, 'config');
  mkdirSync(files, { recursive: true });
  writeFileSync(
    config,
    `inside: [192.168.0.0/16]\ntimers: { no-audio: 5s }\ndaemon: { pid-file: off, journal: off }\ncontrol: { socket: ${socket} }\n`,
  );
  const script = fileURLToPath(new URL('../../control/process.ts', import.meta.url));
  const child: ChildProcess = spawn(process.execPath, ['--import', 'tsx', script, config, 'root'], {
    stdio: ['ignore', 'inherit', 'pipe'],
    env: { ...process.env, PINHOLED_TEST_DIRECTORY: files },
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    let said = '';
    child.once('exit', () => reject(new Error(said)));
    child.stderr!.on('data', (chunk) => {
      said += chunk;
      if (/pinholes taken up/.test(said)) resolve();
    });
  });
  const rates = new Map<string, TwoWayTraffic & { readonly sent: number }>();
  const since = performance.now();
  const media = setInterval(() => {
    const seconds = Math.ceil((performance.now() - since) / 1000);
    const counts = [...rates].map(([id, { packets, bytes, sent }]) => [
      id,
      { packets: packets * seconds, bytes: bytes * seconds, sent: sent * seconds },
    ]);
    writeFileSync(join(files, 'traffic.draft'), JSON.stringify(counts));
    renameSync(join(files, 'traffic.draft'), join(files, 'traffic'));
  }, 250);
  const wire = createSocket('udp4');
  await new Promise<void>((resolve) => wire.bind(0, '127.0.0.1', resolve));
  const port = Number(readFileSync(join(files, 'port'), 'utf8'));

  async function send(from: Host, to: Host, text: string): Promise<void> {
    const released = new Promise<void>((resolve) => wire.once('message', () => resolve()));
    wire.send(udpPacket(from, to, text), port, '127.0.0.1');
    await released;
  }

  /** The same message with other names in From and To; the tags stay. */
  function named(text: string, from: string, to: string): string {
    return text
      .replace(/^From: [^;\r\n]*/m, () => `From: ${from}`)
      .replace(/^To: [^;\r\n]*/m, () => `To: ${to}`);
  }

  return {
    async call(callId, from, to, mediaPort) {
      await send(
        provider,
        pbx,
        named(sip('INVITE', { callId, body: sdp(provider.address, [6000]) }), from, to),
      );
      const answer = sip('200 INVITE', { callId, to: 'b', body: sdp(pbx.address, [mediaPort]) });
      await send(pbx, provider, named(answer, from, to));
      await send(provider, pbx, named(sip('ACK', { callId, to: 'b' }), from, to));
    },
    async foreign(callId) {
      await send(pbx, provider, sip('INVITE', { callId, body: sdp('198.51.100.99', [4010]) }));
      // The history is told within a quarter of a second.
      await setTimeout(500);
    },
    async talks(mediaPort, packets, sent) {
      const rules = JSON.parse(readFileSync(join(files, 'rules'), 'utf8')) as Pinhole[];
      const { id } = rules.find(({ ports }) => ports[0] === mediaPort)!;
      rates.set(id, { packets, bytes: 172 * packets, sent });
      const client = await connectControl(socket);
      const isOne = (call: CallResult) => call.pinholes.some(({ ports }) => ports[0] === mediaPort);
      for (let isCounted = false; !isCounted; ) {
        const { calls } = await client.askOnce<CallsResult>({ request: 'calls' });
        const { packetsTo, noAudio = null } = calls.find(isOne) ?? {};
        isCounted = (packetsTo?.callee ?? 0) > 0 && (sent > 0 || noAudio !== null);
        await setTimeout(50);
      }
      client.close();
    },
    async close() {
      clearInterval(media);
      wire.close();
      child.kill('SIGTERM');
      await exited;
    },
  };
}
