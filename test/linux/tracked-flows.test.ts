import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { before, describe, it } from 'node:test';
import { type Libc, loadLibc } from '../../native-bindings/engine.ts';
import { type NetlinkSocket, openNetlink } from '../../native-bindings/linux/netlink.ts';
import { createTrackedFlows, type TrackedFlows } from '../../src/firewall/conntrack/tracked-flows.ts';
import { deleteFlows } from '../../src/firewall/conntrack.ts';
import { type Opening, openingId } from '../../src/pinhole/opening.ts';
import { enterNamespace, run, withoutRoot } from '../native-bindings/namespace.ts';

/** sched.h: a mount namespace of its own. */
const CLONE_NEWNS = 0x20000;
const EVENTS = '/proc/sys/net/netfilter/nf_conntrack_events';
const skip = withoutRoot || (spawnSync('conntrack', ['-V']).error ? 'needs conntrack' : false);

const inside: Opening = {
  direction: 'in',
  protocol: 'udp',
  sources: ['198.51.100.1'],
  sourcePort: null,
  address: '192.0.2.10',
  ports: [4000, 4001],
  translation: null,
};

/** Has the kernel track a flow, as if its first packet had come. */
function begin(from: string, to: string, ...more: readonly string[]): void {
  const [source, sourcePort] = from.split(' ') as [string, string];
  const [destination, destinationPort] = to.split(' ') as [string, string];
  const ends = ['-s', source, '-d', destination, '--sport', sourcePort, '--dport', destinationPort];
  run('conntrack', '-I', '-p', 'udp', '-t', '100', ...ends, ...more);
}

/** Source ports of the flows that the kernel tracks. */
function tracked(): number[] {
  const text = run('conntrack', '-L', '-p', 'udp');
  return [...text.matchAll(/^udp .*? sport=(\d+)/gm)].map(([, port]) => Number(port)).sort();
}

describe('firewall/conntrack/tracked-flows', { skip }, () => {
  let libc: Libc;
  let socket: NetlinkSocket;
  let now = 0;

  before(async () => {
    await enterNamespace();
    libc = await loadLibc();
    socket = openNetlink(libc);
    // Conntrack begins to track in a namespace with the first rule that asks it.
    run('nft', 'add', 'table', 'inet', 'track');
    run('nft', 'add chain inet track input { type filter hook input priority 0; }');
    run('nft', 'add rule inet track input ct state established counter');
  });

  const sourcePorts = (flows: ReturnType<TrackedFlows['towards']>) =>
    flows?.map(({ original }) => original.sourcePort).sort() ?? null;

  it('knows the flows from before it and those since, by where either direction goes, and not those that have ended', () => {
    const flows = createTrackedFlows(libc, socket, () => now);
    begin('198.51.100.1 10', '192.0.2.10 4000');
    assert.equal(flows.towards([inside]), null, 'the kernel has not told anything for a second');
    begin('198.51.100.1 11', '192.0.2.10 4001');
    assert.equal(flows.towards([inside]), null);
    now += 1000;
    assert.deepEqual(sourcePorts(flows.towards([inside])), [10, 11]);
    begin('192.0.2.10 4001', '203.0.113.5 12');
    begin('198.51.100.1 13', '192.0.2.10 4002');
    // A flow to an external address, which is translated to the host's own.
    const reply = '--reply-src 192.0.2.10 --reply-dst 203.0.113.6 --reply-port-src 4000 --reply-port-dst 14';
    begin('203.0.113.6 14', '203.0.113.1 4000', ...reply.split(' '));
    assert.deepEqual(sourcePorts(flows.towards([inside])), [10, 11, 14, 4001]);
    run('conntrack', '-D', '-p', 'udp', '--sport', '11');
    flows.follow();
    assert.deepEqual(sourcePorts(flows.towards([inside])), [10, 14, 4001]);
    assert.deepEqual(flows.towards([{ ...inside, protocol: 'tcp' }]), []);

    // Of what goes to these ports only what the opening let pass is deleted.
    const closed = [{ ...inside, id: openingId(inside) }];
    assert.equal(
      deleteFlows(socket, closed, () => true, flows.towards(closed)),
      0,
    );
    assert.equal(
      deleteFlows(socket, closed, () => false, flows.towards(closed)),
      1,
    );
    assert.deepEqual(tracked(), [13, 14, 4001]);
    // Of the end of one that began before, the kernel tells nothing: it stays a candidate, and is deleted by nobody.
    assert.deepEqual(sourcePorts(flows.towards(closed)), [10, 14, 4001]);
    assert.equal(
      deleteFlows(socket, closed, () => false, flows.towards(closed)),
      0,
    );
    flows.close();
    run('conntrack', '-F');
  });

  it('says that it does not know them all where the kernel could not tell, until they were listed anew', () => {
    const flows = createTrackedFlows(libc, socket, () => now, 1);
    const all = Array.from({ length: 20 }, (_, index) => index + 100);
    assert.equal(flows.towards([inside]), null);
    now += 1000;
    assert.deepEqual(flows.towards([inside]), []);
    for (const port of all) begin(`198.51.100.1 ${port}`, '192.0.2.10 4000');
    assert.equal(flows.towards([inside]), null);
    now += 1000;
    assert.deepEqual(sourcePorts(flows.towards([inside])), all);
    begin('198.51.100.1 99', '192.0.2.10 4000');
    assert.deepEqual(sourcePorts(flows.towards([inside])), [99, ...all].map(String).sort().map(Number));
    flows.close();
    run('conntrack', '-F');
  });

  it('knows nothing where the kernel tells nothing, nor once it has ceased to tell', () => {
    writeFileSync(EVENTS, '0');
    const flows = createTrackedFlows(libc, socket, () => now);
    for (let second = 0; second < 3; second++, now += 1000) assert.equal(flows.towards([inside]), null);
    writeFileSync(EVENTS, '2');
    assert.equal(flows.towards([inside]), null);
    now += 1000;
    assert.deepEqual(flows.towards([inside]), []);

    writeFileSync(EVENTS, '0');
    begin('198.51.100.1 20', '192.0.2.10 4000');
    for (let second = 0; second < 3; second++, now += 1000) assert.equal(flows.towards([inside]), null);
    writeFileSync(EVENTS, '2');
    assert.deepEqual(sourcePorts(flows.towards([inside])), [20]);
    flows.close();
    run('conntrack', '-F');
  });

  it('asks whether the kernel tells anything of what it opened before its root was changed', () => {
    const early = createTrackedFlows(libc, socket, () => now);
    libc.check('unshare', libc.unshare(CLONE_NEWNS), 'CLONE_NEWNS');
    run('mount', '--make-rprivate', '/');
    run('mount', '-t', 'tmpfs', 'none', '/proc/sys');
    try {
      assert.equal(existsSync(EVENTS), false);
      const late = createTrackedFlows(libc, socket, () => now);
      for (const flows of [early, late]) assert.equal(flows.towards([inside]), null);
      now += 1000;
      assert.deepEqual(early.towards([inside]), []);
      assert.equal(late.towards([inside]), null);
      for (const flows of [early, late]) flows.close();
    } finally {
      run('umount', '/proc/sys');
    }
  });
});
