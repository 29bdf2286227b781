import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startDaemon } from '../../lab/daemon.ts';
import { createStage, type Stage } from '../../lab/stage.ts';
import { createTopology, type Topology } from '../../lab/topology.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { createDialog } from './dialog.ts';

/** nobody and nogroup of Debian. */
const USER = 65534;
/** linux/capability.h */
const CAP_NET_ADMIN = 12;
const OPENED = /udp [\d.:-]+ from [\d.]+/g;

/** As systemd starts it with User=, AmbientCapabilities= and CapabilityBoundingSet= of packaging/linux/pinholed.service. */
const AS_SYSTEMD_DOES = [
  ...['setpriv', '--reuid', String(USER), '--regid', String(USER), '--clear-groups', '--no-new-privs'],
  ...['--inh-caps=-all,+net_admin', '--ambient-caps=-all,+net_admin', '--bounding-set=-all,+net_admin'],
];

describe('a start without root, with CAP_NET_ADMIN alone', { skip: withoutRoot }, () => {
  let topology: Topology;
  let stage: Stage;
  let directory: string;

  before(async () => {
    topology = await createTopology();
    stage = await createStage(topology, { family: 4 });
    directory = mkdtempSync(join(tmpdir(), 'pinholed-user-'));
    chmodSync(directory, 0o755);
    for (const [name, mode] of [
      ['run', 0o755],
      ['state', 0o700],
    ] as const) {
      mkdirSync(join(directory, name));
      chmodSync(join(directory, name), mode);
      chownSync(join(directory, name), USER, USER);
    }
  });

  after(async () => {
    await topology?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it('carries calls, is supervised, and no process of it can be root again', async () => {
    const daemon = await startDaemon(topology, {
      pinned: AS_SYSTEMD_DOES,
      flags: [],
      changes: [
        `control: { socket: ${join(directory, 'run', 'pinholed.sock')} }`,
        `daemon: { pid-file: ${join(directory, 'run', 'pinholed.pid')}, journal: ${join(directory, 'state', 'journal')} }`,
      ].join('\n'),
    });
    try {
      const call = createDialog(stage);
      await stage.play(...call.establish(4000, 6000));
      await daemon.said(OPENED, 2);
      const dataPath = daemon.dataPathPid();
      const supervisor = Number(readFileSync(join(directory, 'run', 'pinholed.pid'), 'utf8'));
      for (const pid of [supervisor, dataPath]) assertConfined(pid);
      process.kill(dataPath, 'SIGKILL');
      await daemon.said(/taken up/g, 2);
      assert.match(daemon.lines.join('\n'), /user nobody: 1 calls with 2 pinholes taken up/);
      await stage.play(
        stage.passes('client:4000', 'server:6000'),
        stage.passes('server:6000', 'client:4000'),
        ...call.hangUp(),
      );
      assert.deepEqual(stage.kernel(), { elements: [], records: [] });
    } finally {
      await daemon.close();
    }
  });
});

/** proc_pid_status(5): every id is the user's, and no set holds more than the one capability. */
function assertConfined(pid: number): void {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string) => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)![1]!;
  assert.deepEqual(field('Uid').split('\t').map(Number), [USER, USER, USER, USER]);
  for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
    assert.equal(BigInt(`0x${field(set)}`) & ~(1n << BigInt(CAP_NET_ADMIN)), 0n, set);
  }
  assert.equal(field('NoNewPrivs'), '1');
}
