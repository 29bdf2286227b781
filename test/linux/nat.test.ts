import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { eventually, mediaFlows, translations } from '../../lab/kernel.ts';
import { externalAddress, FIREWALL_ITSELF, NAT_RULES, natRules } from '../../lab/nat.ts';
import { race } from '../../lab/race.ts';
import { createStage, type Stage } from '../../lab/stage.ts';
import { ADMINISTRATOR, createTopology, type Topology } from '../../lab/topology.ts';
import { readNft } from '../../src/checks/netfilter/nft.ts';
import { checkTable } from '../../src/checks/netfilter/table-check.ts';
import { defaults } from '../../src/config/schema.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { sdp } from '../scene.ts';
import { createDialog } from './dialog.ts';

const EXTERNAL = externalAddress(4);
const INSIDE = 'inside: [10.0.1.0/24, 10.0.3.0/24]\nmedia-hosts: []\noutbound: true';
const OPENED = /udp [\d.:-]+ from [\d.]+/g;
const CALLS = 2000;
const MARK = defaults().linux.mark;

describe('PBXs behind NAT', { skip: withoutRoot }, () => {
  let topology: Topology;
  let stage: Stage;
  let daemon: Daemon | undefined;

  before(async () => {
    topology = await createTopology({ rules: natRules });
    stage = await createStage(topology, { family: 4, external: EXTERNAL, behind: ['client', 'gateway'] });
  });

  after(() => topology?.close());

  afterEach(async () => {
    await daemon?.close();
    daemon = undefined;
    topology.firewall('conntrack', '-F');
  });

  async function start(nat: string, rest = INSIDE): Promise<Daemon> {
    daemon = await startDaemon(topology, {
      changes: `timers: { drain: 0, mux-grace: 0, old-port: 1s }\n${rest}\nnat: [${nat}]`,
    });
    return daemon;
  }

  async function nothingLeft(): Promise<void> {
    assert.deepEqual(stage.kernel(), { elements: [], records: [] });
    assert.deepEqual(translations(topology), []);
    await eventually(
      () => mediaFlows(topology),
      (left) => left.length === 0,
    );
  }

  const media = () => [
    stage.passes('client:4000', 'server:6000'),
    stage.passes('server:6000', 'client:4000'),
  ];

  it('are heard from their own ports and reached at them, from the first packet of either side', async () => {
    await start(`{external: ${EXTERNAL}, hosts: [10.0.1.10]}`);
    const call = createDialog(stage);
    await stage.play(call.asks('INVITE', { body: call.offer([4000]) }));
    assert.deepEqual(
      translations(topology),
      [4000, 4001]
        .flatMap((port) => [
          `dnat4 udp 10.0.2.10 ${EXTERNAL} ${port} is 10.0.1.10`,
          `snat4 udp 10.0.1.10 ${port} 10.0.2.10 is ${EXTERNAL}`,
        ])
        .sort(),
    );
    await stage.play(
      stage.passes('server:6000', 'client:4000'),
      call.answers('200 INVITE', { body: call.answer([6000]) }),
      stage.passes('client:4001', 'server:6001'),
      stage.passes('client:4000', 'server:6000'),
      stage.passes('server:6001', 'client:4001'),
      call.asks('ACK', { to: 'b' }),
      stage.blocked('stranger:6000', 'client:4000'),
      stage.blocked('server:6000', 'client:4002'),
    );
    assert.match(
      mediaFlows(topology).join('\n'),
      /src=10\.0\.1\.10 dst=10\.0\.2\.10 sport=4001 .*dst=10\.0\.2\.200 sport=6001 dport=4001/,
    );
    await stage.play(...call.hangUp());
    await nothingLeft();
    await stage.play(stage.blocked('server:6000', 'client:4000'));
  });

  it('have chains that translate, and the doctor knows what they are', async () => {
    await start(`{external: ${EXTERNAL}, hosts: [10.0.1.10]}`);
    const call = createDialog(stage);
    await stage.play(...call.establish(4000, 6000));
    const listing = topology.firewall('nft', '-j', 'list', 'table', 'inet', 'pinholed');
    const check = (from = '', to = '') => {
      assert.ok(listing.includes(from));
      const tables = readNft(listing.replace(from, to));
      const { level, text } = checkTable(tables, { table: 'pinholed', mark: MARK, isRunning: true });
      return `${level} ${text}`;
    };
    assert.match(check(), /^ok table inet pinholed is whole/);
    assert.match(
      check('"@dnat_any4"', '"@other"'),
      /^fault \S+ \S+ \S+: chain dnat lacks the rule for map dnat_any4, rule 2 of chain dnat is not the daemon's$/,
    );
    assert.match(
      check('"prio": -101', '"prio": -90'),
      /chain dnat is not of type nat at hook prerouting, priority -101$/,
    );
    await stage.play(...call.hangUp());
  });

  it('share an address: each has ports of its own, and one that is taken is free after the call', async () => {
    const log = await start(`{external: ${EXTERNAL}, hosts: [10.0.1.10, 10.0.3.10]}`);
    const first = createDialog(stage);
    const second = createDialog(stage, 'gateway', 'server');
    const third = createDialog(stage, 'gateway', 'server');
    await stage.play(
      ...first.establish(4000, 6000),
      ...second.establish(4400, 6400),
      ...media(),
      stage.passes('server:6400', 'gateway:4400'),
      stage.passes('gateway:4400', 'server:6400'),
      third.asks('INVITE', { body: third.offer([4000]) }),
      third.answers('200 INVITE', { body: third.answer([6800]) }),
      third.asks('ACK', { to: 'b' }),
      ...media(),
    );
    await log.said(/port-taken/g);
    await stage.play(...first.hangUp());
    await eventually(
      () => translations(topology).filter((one) => one.startsWith(`dnat4 udp 10.0.2.10 ${EXTERNAL} 4000 `)),
      (found) => found.join() === `dnat4 udp 10.0.2.10 ${EXTERNAL} 4000 is 10.0.3.10`,
    );
    await eventually(
      () => mediaFlows(topology).filter((flow) => /port=4000\b/.test(flow)),
      (flows) => flows.length === 0,
    );
    await stage.play(
      stage.passes('server:6800', 'gateway:4000'),
      stage.passes('gateway:4000', 'server:6800'),
      ...second.hangUp(),
      ...third.hangUp(),
    );
    await nothingLeft();
  });

  it('reach each other by the address that both announce', async () => {
    await start(`{external: ${EXTERNAL}, hosts: [10.0.1.10, 10.0.3.10]}`);
    const call = createDialog(stage, 'client', 'gateway');
    await stage.play(
      ...call.establish(4000, 4600),
      stage.passes('client:4000', 'gateway:4600'),
      stage.passes('gateway:4600', 'client:4000'),
      ...call.hangUp(),
    );
    await nothingLeft();
  });

  it('hand their media over to a gateway with an external address of its own', async () => {
    const OTHER = '10.0.2.201';
    topology.firewall('ip', 'address', 'add', `${OTHER}/32`, 'dev', 'server');
    try {
      await start(
        `{external: ${EXTERNAL}, hosts: [10.0.1.10]}, {external: ${OTHER}, hosts: [10.0.3.10]}`,
        INSIDE.replace('media-hosts: []', 'media-hosts: [10.0.3.10]'),
      );
      const others = await createStage(topology, { family: 4, external: OTHER, behind: ['gateway'] });
      const call = createDialog(stage);
      await stage.play(
        ...call.establish(4000, 6000),
        ...media(),
        call.asks('INVITE', { to: 'b', cseq: 2, body: sdp(OTHER, [4600]) }),
      );
      await others.play(others.passes('server:6000', 'gateway:4600'));
      await stage.play(
        call.answers('200 INVITE', { cseq: 2, body: call.answer([6000]) }),
        call.asks('ACK', { to: 'b', cseq: 2 }),
      );
      await others.play(
        others.passes('gateway:4600', 'server:6000'),
        others.passes('server:6000', 'gateway:4600'),
        others.blocked('stranger:6000', 'gateway:4600'),
        others.blocked('server:6000', 'gateway:4602'),
      );
      assert.deepEqual(
        translations(topology).filter((one) => one.includes(' 4600 ')),
        [`dnat4 udp 10.0.2.10 ${OTHER} 4600 is 10.0.3.10`, `snat4 udp 10.0.3.10 4600 10.0.2.10 is ${OTHER}`],
      );
      assert.match(mediaFlows(topology).join('\n'), /dst=10\.0\.2\.201 sport=6000 dport=4600/);
      await eventually(
        () => translations(topology).filter((one) => one.includes(' 4000 ')),
        (old) => old.length === 0,
      );
      await stage.play(stage.blocked('server:6000', 'client:4000'), ...call.hangUp());
      await nothingLeft();
      await others.play(others.blocked('server:6000', 'gateway:4600'));
    } finally {
      topology.firewall('ip', 'address', 'delete', `${OTHER}/32`, 'dev', 'server');
    }
  });

  /** What `systemctl reload nftables` does, in one transaction: everything goes, and comes again. */
  const RELOAD = ['flush ruleset', ADMINISTRATOR, NAT_RULES, FIREWALL_ITSELF].join('\n');

  it('go on when the administrator loads the ruleset again, and so do new calls', async () => {
    await start(`{external: ${EXTERNAL}, hosts: [10.0.1.10]}`);
    const call = createDialog(stage);
    await stage.play(...call.establish(4000, 6000), ...media());
    const before = translations(topology);
    topology.firewall('nft', RELOAD);
    assert.deepEqual(translations(topology), before, 'nobody but the daemon changes its table');
    await stage.play(...media());
    topology.firewall('conntrack', '-F');
    const next = createDialog(stage);
    await stage.play(
      ...media(),
      ...next.establish(4200, 6200),
      stage.passes('server:6200', 'client:4200'),
      stage.passes('client:4200', 'server:6200'),
      ...next.hangUp(),
      ...media(),
      ...call.hangUp(),
    );
    await nothingLeft();
    await stage.play(stage.blocked('server:6000', 'client:4000'));
  });

  it('get back what was lost, where the kernel lets the load of a ruleset take the table away', async () => {
    // A table that was there before has no owner.
    topology.firewall('nft', 'add', 'table', 'inet', 'pinholed');
    const log = await start(`{external: ${EXTERNAL}, hosts: [10.0.1.10]}`);
    const call = createDialog(stage);
    await stage.play(...call.establish(4000, 6000), ...media());
    const before = translations(topology);
    topology.firewall('nft', RELOAD);
    await log.said(/the packet filter is as it should be again: 2 added, 0 removed/g);
    assert.deepEqual(translations(topology), before);
    topology.firewall('conntrack', '-F');
    await stage.play(...media(), stage.blocked('stranger:6000', 'client:4000'), ...call.hangUp());
    await nothingLeft();
  });

  it('go on when the daemon is killed, and are taken up again with their translation', async () => {
    const killed = await start(`{external: ${EXTERNAL}, hosts: [10.0.1.10]}`);
    const call = createDialog(stage);
    await stage.play(...call.establish(4000, 6000), ...media());
    await killed.said(OPENED, 2);
    const before = translations(topology);
    killed.signal('SIGKILL');
    await killed.ended();
    topology.firewall('conntrack', '-F');
    await stage.play(...media());
    await killed.restart();
    assert.match(killed.lines.at(-1)!, /1 calls with 2 pinholes taken up, 0 other rules removed/);
    assert.deepEqual(translations(topology), before);
    await stage.play(...media(), ...call.hangUp());
    await nothingLeft();
  });

  it('leave no translation behind when a daemon without a journal was killed', async () => {
    const killed = await start(
      `{external: ${EXTERNAL}, hosts: [10.0.1.10]}`,
      `${INSIDE}\ndaemon: { user: nobody, group: nogroup, pid-file: off, journal: off }`,
    );
    await stage.play(...createDialog(stage).establish(4000, 6000), ...media());
    assert.notDeepEqual(translations(topology), []);
    killed.signal('SIGKILL');
    await killed.ended();
    await killed.restart();
    assert.deepEqual(stage.kernel(), { elements: [], records: [] });
    const next = createDialog(stage);
    await stage.play(...next.establish(4200, 6200), ...next.hangUp());
    await nothingLeft();
  });

  describe('that call each other by way of the provider, each announcing the same address', () => {
    /** Two legs, as a provider makes them that sends a call back in and leaves media to the ends. */
    function forwarded() {
      const [out, back] = [createDialog(stage), createDialog(stage, 'server', 'gateway')];
      const [caller, callee] = [4000, 4400].map((port) => sdp(EXTERNAL, [port]));
      const upToAnswer = [
        out.asks('INVITE', { body: caller! }),
        back.asks('INVITE', { body: caller! }),
        back.answers('200 INVITE', { body: callee! }),
      ];
      const answered = [
        out.answers('200 INVITE', { body: callee! }),
        out.asks('ACK', { to: 'b' }),
        back.asks('ACK', { to: 'b' }),
      ];
      return { upToAnswer, answered, hangUp: [...out.hangUp(), ...back.hangUp()] };
    }

    const between = () => [
      stage.passes('client:4000', 'gateway:4400'),
      stage.passes('gateway:4400', 'client:4000'),
    ];

    const mappings: Readonly<Record<string, string>> = {
      'as an address': `{external: ${EXTERNAL}, hosts: [10.0.1.10, 10.0.3.10]}`,
      "as an interface's": '{external: interface:server, hosts: [10.0.1.10, 10.0.3.10]}',
    };
    for (const [how, nat] of Object.entries(mappings)) {
      for (const early of ['signalling-peer', 'any']) {
        it(`hear each other, with the address given ${how}, early media from ${early}`, async () => {
          await start(nat, `${INSIDE}\nearly-media-source: ${early}`);
          const { upToAnswer, answered, hangUp } = forwarded();
          await stage.play(...upToAnswer, ...answered, ...between());
          // Only now: what came before the answer came while `any` was open to everybody.
          await stage.play(
            stage.blocked('stranger:6000', 'client:4000'),
            stage.blocked('stranger:6000', 'gateway:4400'),
          );
          const flows = mediaFlows(topology).join('\n');
          assert.match(
            flows,
            /src=10\.0\.1\.10 dst=10\.0\.2\.200 sport=4000 dport=4400 .*src=10\.0\.3\.10 dst=10\.0\.2\.200 sport=4400 dport=4000/,
          );
          await stage.play(...hangUp);
          await nothingLeft();
        });
      }
    }

    it('are refused by name where it is not known which hosts those are, and nothing passes', async () => {
      const log = await start(`{external: ${EXTERNAL}, hosts: [10.0.1.0/24, 10.0.3.0/24]}`);
      const { upToAnswer, answered, hangUp } = forwarded();
      await stage.play(
        ...upToAnswer,
        ...answered,
        stage.blocked('client:4000', 'gateway:4400'),
        stage.blocked('gateway:4400', 'client:4000'),
      );
      await log.said(/refused \(hairpin\)/g, 2);
      await stage.play(...hangUp);
    });
  });

  it('are translated by the ruleset where it says so', async () => {
    await start(`{external: ${EXTERNAL}, hosts: [10.0.1.10], translation: ruleset}`);
    topology.firewall(
      'nft',
      `table inet range {
        chain prerouting {
          type nat hook prerouting priority dstnat - 5;
          iifname != "client" ip daddr ${EXTERNAL} udp dport 4000-4999 dnat ip to 10.0.1.10
        }
        chain postrouting {
          type nat hook postrouting priority srcnat - 5;
          iifname "client" oifname != "client" udp sport 4000-4999 snat ip to ${EXTERNAL}
        }
      }`,
    );
    try {
      const call = createDialog(stage);
      await stage.play(
        ...call.establish(4000, 6000),
        ...media(),
        stage.blocked('stranger:6000', 'client:4000'),
      );
      assert.deepEqual(translations(topology), []);
      await stage.play(...call.hangUp());
      await nothingLeft();
    } finally {
      topology.firewall('nft', 'delete', 'table', 'inet', 'range');
    }
  });

  it('are closed, too, where the inside host may send anyway and sent first', async () => {
    await start(`{external: ${EXTERNAL}, hosts: [10.0.1.10]}`, INSIDE.replace('true', 'false'));
    topology.firewall('nft', 'insert rule inet filter forward iifname "client" accept');
    try {
      const call = createDialog(stage);
      await stage.play(...call.establish(4000, 6000), ...media());
      assert.match(
        mediaFlows(topology).join('\n'),
        /src=10\.0\.1\.10 dst=10\.0\.2\.10 sport=4000 .*dport=4000/,
      );
      await stage.play(...call.hangUp());
      await nothingLeft();
      await stage.play(stage.blocked('server:6000', 'client:4000'));
    } finally {
      topology.firewall('nft', 'delete', 'table', 'inet', 'filter');
      topology.firewall('nft', ADMINISTRATOR);
    }
  });

  it('are reached though the firewall itself took what came before the call, and heard though they spoke before', async () => {
    await start(`{external: ${EXTERNAL}, hosts: [10.0.1.10]}`, INSIDE.replace('true', 'false'));
    topology.firewall('nft', 'delete', 'table', 'inet', 'firewall_itself');
    topology.firewall('nft', 'insert rule inet filter forward iifname "client" accept');
    try {
      await stage.play(
        stage.blocked('server:6000', 'client:4000'),
        stage.passes('client:4001', 'server:6001'),
      );
      const stray = mediaFlows(topology).join('\n');
      assert.match(stray, /src=10\.0\.2\.200 dst=10\.0\.2\.10 sport=4000 /, 'taken for the firewall itself');
      assert.doesNotMatch(stray, /dst=10\.0\.2\.200 sport=6001 dport=4001/, 'leaves from another port');
      const call = createDialog(stage);
      await stage.play(...call.establish(4000, 6000));
      await eventually(
        () => mediaFlows(topology),
        (left) => left.length === 0,
      );
      await stage.play(stage.passes('client:4001', 'server:6001'), ...media());
      assert.match(mediaFlows(topology).join('\n'), /dst=10\.0\.2\.200 sport=6001 dport=4001/);
      await stage.play(...call.hangUp());
    } finally {
      topology.firewall('nft', 'delete', 'table', 'inet', 'filter');
      topology.firewall('nft', ADMINISTRATOR);
      topology.firewall('nft', FIREWALL_ITSELF);
    }
  });

  it('follow the address of an interface', async () => {
    const log = await start('{external: interface:server, hosts: [10.0.1.10]}');
    const old = createDialog(stage);
    await stage.play(...old.establish(4000, 6000), ...media());
    const NEXT = '10.0.2.201';
    topology.firewall('ip', 'address', 'add', `${NEXT}/32`, 'dev', 'server');
    topology.firewall('ip', 'address', 'delete', `${EXTERNAL}/32`, 'dev', 'server');
    try {
      await log.said(/the external address of server is .*10\.0\.2\.201/g);
      await eventually(
        () => translations(topology),
        (left) => left.length === 0,
      );
      const call = createDialog(stage);
      await stage.play(call.asks('INVITE', { body: sdp(NEXT, [4200]) }));
      assert.ok(translations(topology).includes(`dnat4 udp 10.0.2.10 ${NEXT} 4200 is 10.0.1.10`));
    } finally {
      topology.firewall('ip', 'address', 'add', `${EXTERNAL}/32`, 'dev', 'server');
      topology.firewall('ip', 'address', 'delete', `${NEXT}/32`, 'dev', 'server');
    }
  });

  it(`lose no packet of ${CALLS} calls, sent at the earliest moment`, async () => {
    await start(`{external: ${EXTERNAL}, hosts: [10.0.1.10]}`);
    assert.deepEqual(await race(topology, CALLS, { external: EXTERNAL }), {
      sent: 4 * CALLS,
      lost: 0,
      firstLost: 0,
      callsHurt: 0,
    });
    await nothingLeft();
  });
});
