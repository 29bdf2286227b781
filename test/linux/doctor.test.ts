import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { typescript } from '../../lab/actors.ts';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { eventually } from '../../lab/kernel.ts';
import { createStage } from '../../lab/stage.ts';
import { createTopology, type Topology } from '../../lab/topology.ts';
import { parseNetwork } from '../../src/address/network.ts';
import { nftablesRules } from '../../src/commands/rules/nftables.ts';
import { defaults } from '../../src/config/schema.ts';
import type { DoctorReport } from '../../src/report/live/doctor.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { createDialog } from './dialog.ts';

/** What `pinholed rules` prints for iptables, and for a chain of the administrator's that drops. */
const INSIDE = [
  '10.0.1.0/24',
  '10.0.2.0/24',
  '10.0.3.0/24',
  'fd00:0:0:1::/64',
  'fd00:0:0:2::/64',
  'fd00:0:0:3::/64',
];
const inside = INSIDE.map((text) => parseNetwork(text)!);
const printed = nftablesRules({ ...defaults(), inside }, null).split('\n');
const iptables = printed.flatMap((line) => /^#\t(ip6?tables .*)/.exec(line)?.[1] ?? []);
const accepted = printed.flatMap((line) => /^#\t((?:ct|meta|ip6?) .*)/.exec(line)?.[1] ?? []);

const forged = printed.flatMap((line) => /priority raw: (.*)/.exec(line)?.[1] ?? [])[0]!;

describe('pinholed doctor on Linux, as root would run it', { skip: withoutRoot }, () => {
  let topology: Topology;
  let daemon: Daemon;

  const command = (action: string) =>
    iptables.map((line) => {
      const [program, ...words] = line.replace(' -A ', ` ${action} `).split(' ');
      return [`${program}-legacy`, ...words] as [string, ...string[]];
    });
  const filter = (lines: readonly string[], policy = 'drop') =>
    [
      ...['table inet filter', 'delete table inet filter', 'table inet filter {', 'chain forward {'],
      ...[`type filter hook forward priority filter; policy ${policy};`, ...lines, '}'],
      ...['chain raw {', 'type filter hook prerouting priority raw;', `${forged}; }`, '}'],
    ].join('\n');
  const sysctl = (setting: string) => topology.firewall('sysctl', '-qw', setting);

  before(async () => {
    topology = await createTopology({
      rules(firewall) {
        for (const words of command('-A')) firewall(...words);
        firewall('nft', filter(accepted));
      },
    });
    daemon = await startDaemon(topology, { flags: [] });
    chmodSync(daemon.config, 0o644);
  });
  after(async () => {
    await daemon?.close();
    await topology?.close();
  });

  function run(words: readonly string[], ...args: readonly string[]) {
    const [program, ...rest] = [...words, ...typescript('../src/main.ts')] as [string, ...string[]];
    const line = ['netns', 'exec', topology.namespaceOf('firewall'), program, ...rest, 'doctor', ...args];
    return spawnSync('ip', line, { encoding: 'utf8' });
  }

  /** What is not well, as `level check`, and the whole report. */
  function doctor(words: readonly string[] = [], config = daemon.config) {
    const { status, stdout, stderr } = run(words, '--json', '--config', config);
    assert.equal(stderr, '');
    const report = JSON.parse(stdout) as DoctorReport;
    const wrong = report.findings.filter(({ level }) => level !== 'ok');
    for (const { advice, text } of wrong) assert.notEqual(advice, '', text);
    return { status, report, wrong, names: wrong.map(({ level, check }) => `${level} ${check}`) };
  }

  /** Exactly this fault, with these words in it and in its advice. */
  function oneFault(check: string, text: RegExp, advice: RegExp): void {
    const { status, wrong, names } = doctor();
    assert.deepEqual(names, [`fault ${check}`]);
    assert.match(wrong[0]!.text, text);
    assert.match(wrong[0]!.advice, advice);
    assert.equal(status, 1);
  }

  it('finds nothing wrong with exactly what "pinholed rules" prints', () => {
    assert.deepEqual([iptables.length, accepted.length], [4, 5]);
    const { status, report, names } = doctor();
    assert.deepEqual(names, []);
    assert.equal(status, 0);
    assert.deepEqual([report.faults, report.cautions, report.unknown], [0, 0, 0]);
    assert.deepEqual(
      [...new Set(report.findings.map(({ section }) => section))],
      [...['system', 'firewall', 'configuration', 'daemon']],
    );
  });

  it('compares the pinholes of a call with what the kernel holds', async () => {
    const stage = await createStage(topology, { family: 4 });
    const call = createDialog(stage);
    await stage.play(...call.establish(4000, 6000));
    const { elements, records } = stage.kernel();
    const { names, report } = doctor();
    assert.deepEqual(names, []);
    const rules = report.findings.find(({ check }) => check === 'rules')!;
    const held = elements.length + records.length;
    assert.ok(held > 0);
    assert.equal(rules.text, `2 pinholes are open, and the packet filter holds exactly their ${held} rules`);
    await stage.play(...call.hangUp());
  });

  for (const [index, line] of iptables.entries()) {
    it(`misses the line ${line}`, () => {
      topology.firewall(...command('-D')[index]!);
      const family = line.startsWith('ip6') ? 'IPv6' : 'IPv4';
      const protocol = line.includes('-p udp') ? 'UDP' : 'TCP';
      const text = `SIP passes unread: ${protocol} over ${family} to port 5060; ${protocol} over ${family} from port 5060`;
      oneFault('queue-rule', new RegExp(`^${text}$`), /"pinholed rules" prints for iptables/);
      topology.firewall(...command('-A')[index]!);
    });
  }

  const missed = [
    { check: 'accept-established', text: /answers do not pass/, advice: /"ct state established accept"/ },
    {
      check: 'accept-mark',
      text: /media does not pass/,
      advice: /"meta mark & 0x700000 == 0x700000 accept"/,
    },
    {
      check: 'accept-sip',
      text: /drops SIP: UDP and TCP over IPv4 and IPv6 to port 5060/,
      advice: /th dport 5060 accept/,
    },
    {
      check: 'outbound-media',
      text: /drops the media that inside hosts send over IPv4: they hear and are not heard/,
      advice: /"pinholed rules" prints, or set outbound: true/,
    },
    {
      check: 'outbound-media',
      text: /drops the media that inside hosts send over IPv6/,
      advice: /outbound: true/,
    },
  ];
  for (const [index, { check, text, advice }] of missed.entries()) {
    it(`misses the line ${accepted[index]}`, () => {
      topology.firewall('nft', filter(accepted.filter((_, at) => at !== index)));
      oneFault(check, text, advice);
      topology.firewall('nft', filter(accepted));
    });
  }

  it('misses all queue rules, and tells of a queue that nobody reads', () => {
    for (const words of command('-D')) topology.firewall(...words);
    oneFault(
      'queue-rule',
      /^no rule hands SIP to queue 0: none comes to the daemon$/,
      /"pinholed rules" prints/,
    );
    const other = (action: string) =>
      command(action).map(
        (words) =>
          words.map((word, at) => (words[at - 1] === '--queue-num' ? '7' : word)) as [string, ...string[]],
      );
    for (const words of other('-A')) topology.firewall(...words);
    oneFault('queue-rule', /^SIP is handed to queue 7, and the daemon reads queue 0$/, /the same number/);
    for (const words of other('-D')) topology.firewall(...words);
    for (const words of command('-A')) topology.firewall(...words);
  });

  it('sees a bypass that the configuration does not ask for', () => {
    for (const words of command('-D')) topology.firewall(...words);
    for (const words of command('-A')) topology.firewall(...words, '--queue-bypass');
    oneFault('queue-bypass', /^fail: closed, but .* passes unread/, /take "bypass" out/);
    for (const words of command('-D')) topology.firewall(...words, '--queue-bypass');
    for (const words of command('-A')) topology.firewall(...words);
  });

  it('reads the rules of iptables-nft, and sees that SIP is handed over twice', () => {
    const nft = (action: string) =>
      command(action).map(
        ([program, ...words]) => [program.replace('-legacy', '-nft'), ...words] as [string, ...string[]],
      );
    for (const words of nft('-A')) topology.firewall(...words);
    const { wrong, names, status } = doctor();
    assert.deepEqual(names, ['caution queue-rule']);
    assert.match(
      wrong[0]!.text,
      /^SIP is handed over twice: in chain FORWARD of iptables mangle and in chain FORWARD of iptables-legacy mangle$/,
    );
    assert.equal(status, 0, 'a caution is no fault');
    for (const words of command('-D')) topology.firewall(...words);
    assert.deepEqual(doctor().names, []);
    for (const words of command('-A')) topology.firewall(...words);
    for (const words of nft('-D')) topology.firewall(...words);
    topology.firewall('nft', 'delete', 'table', 'ip', 'mangle');
    topology.firewall('nft', 'delete', 'table', 'ip6', 'mangle');
  });

  it('is cautious where nothing is dropped by default', () => {
    topology.firewall('nft', filter(accepted, 'accept'));
    const { names, wrong } = doctor();
    assert.deepEqual(names, ['caution default-drop']);
    assert.match(wrong[0]!.text, /no chain drops what is forwarded over IPv4 and IPv6/);
    topology.firewall('nft', filter(accepted));
  });

  it('misses forwarding: of one family, of both', () => {
    sysctl('net.ipv6.conf.all.forwarding=0');
    const { names, wrong } = doctor();
    assert.deepEqual(names, ['caution forwarding']);
    assert.match(wrong[0]!.text, /^IPv6 is not forwarded/);
    assert.match(wrong[0]!.advice, /^sysctl net.ipv6.conf.all.forwarding=1/);
    sysctl('net.ipv4.ip_forward=0');
    oneFault('forwarding', /^nothing is forwarded/, /^sysctl net.ipv4.ip_forward=1/);
    sysctl('net.ipv4.ip_forward=1');
    sysctl('net.ipv6.conf.all.forwarding=1');
  });

  it("sees the kernel's own SIP helper at work", () => {
    const words = (action: string) => [
      '-t',
      'raw',
      action,
      'PREROUTING',
      '-p',
      'udp',
      '--dport',
      '5060',
      '-j',
      'CT',
      '--helper',
      'sip',
    ];
    topology.firewall('iptables-legacy', ...words('-A'));
    const { names, wrong } = doctor();
    assert.deepEqual(names, ['caution sip-helper']);
    assert.match(wrong[0]!.advice, /ct helper/);
    topology.firewall('iptables-legacy', ...words('-D'));
  });

  it('says what a user without rights does not see', () => {
    const nobody = [
      'setpriv',
      '--reuid=65534',
      '--regid=65534',
      '--clear-groups',
      '--inh-caps=-all',
      '--bounding-set=-all',
    ];
    const { status, names, wrong } = doctor(nobody);
    assert.deepEqual(names, [
      ...[
        'unknown rights',
        'unknown sip-helper',
        'unknown ruleset',
        'unknown queue-listener',
        'unknown running',
      ],
    ]);
    assert.match(wrong[2]!.text, /not looked at are queue-rule, .*, table$/);
    assert.equal(status, 2);
  });

  it('tells of settings that the daemon does not work with', () => {
    const { status, stdout } = run([], '--config', daemon.config, '--json');
    assert.equal(status, 0);
    assert.doesNotMatch(stdout, /other settings/);
    const changed = `${daemon.config}.changed`;
    topology.firewall('sh', '-c', `{ cat ${daemon.config}; echo 'linux: { queue: 5 }'; } > ${changed}`);
    const { names, wrong } = doctor([], changed);
    assert.deepEqual(names, ['fault queue-rule', 'fault queue-listener', 'caution settings']);
    assert.match(wrong[2]!.text, /linux\.queue \(0, here 5\)/);
    assert.equal(wrong[2]!.advice, 'restart the daemon');
  });

  it('tells of a file that the user of the daemon may not read', () => {
    chmodSync(daemon.config, 0o640);
    try {
      const { status, names, wrong } = doctor([], daemon.config);
      assert.deepEqual([status, names], [1, ['fault configuration']]);
      assert.match(
        wrong[0]!.text,
        /^user nobody may not read \S+ \(mode 0640, owner 0\): the systemd unit does not start/,
      );
    } finally {
      chmodSync(daemon.config, 0o644);
    }
  });

  it('goes on with a configuration that cannot be used', () => {
    const { status, names, report } = doctor([], '/nonexistent');
    assert.deepEqual(names, ['fault configuration', 'unknown configuration']);
    assert.ok(report.findings.some(({ check, level }) => check === 'conntrack' && level === 'ok'));
    assert.equal(status, 1);
  });

  it('finds no fault before the daemon is started', async () => {
    await daemon.stop();
    const { status, names, wrong } = doctor();
    assert.deepEqual(names, ['caution queue-listener', 'caution running']);
    assert.match(wrong[0]!.text, /^nobody reads queue 0: what is handed to it is dropped$/);
    assert.match(wrong[1]!.advice, /^start it/);
    assert.equal(status, 0);
  });

  /** On a kernel that lets tables have no owner, or with a table that was there before: anybody can change it. */
  describe('with a table that nft may change', () => {
    const nft = (...words: readonly string[]) => topology.firewall('nft', ...words);
    /** Handles of the rules of a chain, in order. */
    const handles = (chain: string) =>
      [...nft('-a', 'list', 'chain', 'inet', 'pinholed', chain).matchAll(/accept # handle (\d+)$/gm)].map(
        ([, handle]) => handle!,
      );

    before(async () => {
      nft('add', 'table', 'inet', 'pinholed');
      await daemon.restart();
    });

    it('names a rule that was taken away, and one that somebody added', () => {
      const [first] = handles('forward');
      nft('delete', 'rule', 'inet', 'pinholed', 'forward', 'handle', first!);
      oneFault('table', /: chain forward lacks the rule for set source4$/, /^restart the daemon/);
      nft('add', 'rule', 'inet', 'pinholed', 'forward', 'udp', 'dport', '9', 'accept');
      oneFault('table', /lacks the rule for set source4, rule 8 of chain forward is not the daemon's$/, /./);
    });

    it('names a pinhole that was taken away, and one that somebody added; both are put right', async () => {
      const stage = await createStage(topology, { family: 4 });
      const call = createDialog(stage);
      await stage.play(...call.establish(4000, 6000));
      const held = stage.kernel();
      const element = (port: number) => `{ udp . 10.0.2.10 . 10.0.1.10 . ${port} }`;
      nft('delete', 'element', 'inet', 'pinholed', 'source4', element(4000));
      nft('add', 'element', 'inet', 'pinholed', 'source4', element(4999));
      const { status, names, wrong } = doctor();
      assert.deepEqual(names, ['fault table', 'fault rules']);
      assert.equal(
        wrong[1]!.text,
        '2 pinholes are open; rules missing (-): 1, rules that should not be there (+): 1: ' +
          '- udp 10.0.2.10 :* > 10.0.1.10 4000, + udp 10.0.2.10 :* > 10.0.1.10 4999',
      );
      assert.equal(status, 1);
      await eventually(stage.kernel, (state) => state.elements.length === held.elements.length);
      assert.deepEqual(stage.kernel(), held);
      const after = doctor();
      assert.deepEqual(after.names, ['caution alarms'], 'the rules of the chains were made anew with them');
      assert.match(after.wrong[0]!.text, /had to be put right once$/);
      await stage.play(...call.hangUp());
    });
  });
});
