import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GroupResult } from '../src/control/protocol.ts';
import { type Server, startServer } from '../test/group/redis-server.ts';
import { type Daemon, startDaemon } from './daemon.ts';
import { createPair, type Number01, type Pair, type PairOptions, STORE_ADDRESS } from './pair.ts';

/** Two firewalls with a daemon each, and the store that they share their calls by. */
export interface SharingPair extends Pair {
  readonly store: Server;
  /** By the number of their firewall. */
  readonly daemons: Daemon[];
  /** Starts the daemon of one; it has joined then. `more`: further keys of `peers-store`, each after a comma. */
  startDaemon(number: Number01, more?: string): Promise<void>;
  /** Until each has heard of the other, and its data path with it. */
  together(): Promise<void>;
  /** How one says that it stands. */
  standing(number: Number01): Promise<GroupResult>;
  /** Ends the daemons. Returns what they complained of in their logs. */
  stopDaemons(): Promise<readonly string[]>;
}

export interface SharingOptions extends PairOptions {
  /** YAML that replaces top-level keys of the tests' configuration. */
  readonly changes?: string;
}

const PASSWORD = 'a password of the store';
const COMPLAINT = / error |unexpected error/;
export const JOINED = /peers-store: joined/g;

/** The client is inside, the server is not, and what either sends needs a pinhole. */
export async function createSharingPair({
  changes = '',
  ...options
}: SharingOptions = {}): Promise<SharingPair> {
  const directory = mkdtempSync(join(tmpdir(), 'pinholed-pair-'));
  chmodSync(directory, 0o755);
  writeFileSync(join(directory, 'password'), `${PASSWORD}\n`, { mode: 0o640 });
  const pair = await createPair(options);
  const daemons: Daemon[] = [];
  const standing = async (number: Number01) => (await daemons[number]!.status()).group!;

  try {
    const store = await startServer({ address: STORE_ADDRESS, password: PASSWORD, run: pair.startAtStore });
    const { port } = store;
    return {
      ...pair,
      store,
      daemons,
      async startDaemon(number, more = '') {
        const where = `url: 'redis://${STORE_ADDRESS}:${port}', password-file: ${directory}/password`;
        const lines = [
          'inside: [10.0.1.0/24]',
          'outbound: true',
          `peers-store: { ${where}, name: fw${number + 1}${more} }`,
          changes,
        ];
        const daemon = await startDaemon(pair.firewalls[number], { changes: lines.join('\n') });
        daemons[number] = daemon;
        await daemon.said(JOINED);
      },
      standing,
      async together() {
        for (const [number, daemon] of daemons.entries()) {
          const other = `fw${2 - number}`;
          await daemon.said(new RegExp(`${other} is there|joined, with ${other}`, 'g'));
          // Answered by the data path, after what it was told then.
          await standing(number as Number01);
        }
      },
      async stopDaemons() {
        const complaints = daemons.flatMap(({ lines }) => lines.filter((line) => COMPLAINT.test(line)));
        for (const daemon of daemons.splice(0)) await daemon.close();
        return complaints;
      },
      async close() {
        for (const daemon of daemons.splice(0)) await daemon.close();
        await store.close();
        await pair.close();
        rmSync(directory, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await pair.close();
    throw error;
  }
}
