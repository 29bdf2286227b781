import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { createStage, type Stage } from '../../lab/stage.ts';
import { createTopology, type Topology } from '../../lab/topology.ts';
import { type ControlClient, connectControl } from '../../src/control/client.ts';
import type { CallsResult, Request, StatsResult, StatusResult } from '../../src/control/protocol.ts';
import type { ExplainResult } from '../../src/report/live/explain.ts';
import { createDialog } from '../linux/dialog.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { scratch } from './socket.ts';

describe('the control socket of a daemon at work on Linux', { skip: withoutRoot }, () => {
  let topology: Topology;
  let stage: Stage;
  let daemon: Daemon;
  const directory = scratch();
  const path = join(directory.path, 'sock');

  before(async () => {
    topology = await createTopology();
    stage = await createStage(topology, { family: 4 });
    daemon = await startDaemon(topology, { changes: `control: { socket: ${path} }`, flags: [] });
  });
  after(async () => {
    await daemon?.close();
    topology?.close();
    directory.remove();
  });

  async function withClient<T>(act: (client: ControlClient) => Promise<T>): Promise<T> {
    const client = await connectControl(path);
    try {
      return await act(client);
    } finally {
      client.close();
    }
  }

  const askOnce = <T>(request: Request) => withClient((client) => client.askOnce<T>(request));

  it('tells of the queue, of latency, and of media that the kernel counted', async () => {
    const call = createDialog(stage);
    await stage.play(...call.establish(4000, 6000));
    const talk = [stage.passes('client:4000', 'server:6000'), stage.passes('server:6000', 'client:4000')];
    await stage.play(...talk, ...talk, ...talk);
    const status = await askOnce<StatusResult>({ request: 'status' });
    assert.equal(status.platform, 'linux');
    assert.equal(status.user, 'nobody', 'asked as root, while packets are read as nobody');
    assert.deepEqual(status.mode.supervised, true);
    assert.ok(status.description.some((line) => /^NFQUEUE \d+: \d+ packets/.test(line)));
    assert.ok(status.description.some((line) => /^nftables: table inet pinholed/.test(line)));
    for (const name of ['queueFull', 'socketFull', 'verdictErrors']) {
      assert.equal(status.platformCounters[name], 0, name);
    }
    assert.deepEqual([status.calls, status.pinholes, status.pinholesMissing], [1, 2, 0]);
    assert.equal(status.counters.received, status.counters.released);
    assert.deepEqual(status.alarms, []);
    const stats = await askOnce<StatsResult>({ request: 'stats' });
    assert.equal(stats.inspection.count, status.counters.received);
    assert.equal(stats.commit.count, status.counters.commits);
    assert.ok(stats.commit.longest > 0 && stats.commit.sum >= stats.commit.longest);

    // The kernel's counters are read every two seconds.
    for (;;) {
      const { calls } = await askOnce<CallsResult>({ request: 'calls' });
      if (calls[0]!.packets > 0) {
        assert.equal(calls[0]!.packets, 6);
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  });

  it('is there again after a crash, with the calls that were taken up', async () => {
    const pid = daemon.dataPathPid();
    process.kill(pid, 'SIGKILL');
    await daemon.said(/taken up/g, 2);
    const status = await askOnce<StatusResult>({ request: 'status' });
    assert.notEqual(status.pid, pid);
    assert.deepEqual(status.adopted, { calls: 1, pinholes: 2 });
    const { calls } = await askOnce<CallsResult>({ request: 'calls' });
    const name = calls[0]!.legId;
    const explained = await askOnce<ExplainResult>({ request: 'explain', call: name });
    assert.equal(explained.adopted, true);
    assert.deepEqual(
      explained.pinholes.map(({ ports, closedAt }) => [ports[0], closedAt]),
      [
        [4000, null],
        [6000, null],
      ],
    );
    assert.deepEqual(await askOnce({ request: 'close', call: name }), { closed: [name] });
    assert.deepEqual(stage.kernel(), { elements: [], records: [] });
  });

  it('has in its log every packet of a call that was over before anybody counted', async () => {
    const call = createDialog(stage);
    await stage.play(...call.establish(4100, 6100));
    await stage.play(stage.passes('client:4100', 'server:6100'), stage.passes('client:4100', 'server:6100'));
    await stage.play(...call.hangUp());
    await daemon.said(/closed audio udp 10\.0\.1\.10:4100-4101; audio udp 10\.0\.2\.10:6100-6101/g);
    const line = daemon.lines.find((one) => one.includes('closed') && one.includes(':6100'));
    assert.match(line!, /: bye, 2 packets, \d+ bytes counted, \d+\.\d s$/);
  });

  it('tells for a call what came since it has had a pinhole that another had before', async () => {
    const [first, second] = [createDialog(stage), createDialog(stage)];
    const packets = async (count: number) => {
      for (;;) {
        const { calls } = await askOnce<CallsResult>({ request: 'calls' });
        const counted = calls.filter(({ state }) => state === 'confirmed').map((call) => call.packets);
        if (counted.length === count && counted[0]! > 0) return counted;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    };
    await stage.play(...first.establish(4200, 6200));
    await stage.play(stage.passes('client:4200', 'server:6200'), stage.passes('client:4200', 'server:6200'));
    assert.deepEqual(await packets(1), [2]);
    await stage.play(...second.establish(4200, 6200));
    assert.deepEqual(await packets(2), [2, 0]);
  });

  it('is removed when the daemon stops', async () => {
    assert.ok(existsSync(path));
    await daemon.stop();
    assert.ok(!existsSync(path));
  });
});
