import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execute, removeNamespace, within } from '../../lab/namespaces.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';

const program = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

interface Step {
  readonly step: string;
  readonly state: string;
  readonly text: string;
  readonly advice: string;
}

interface Told {
  /** What it called its namespaces by: `ip netns exec` becomes the program. */
  readonly pid: number;
  readonly status: number | null;
  readonly stderr: string;
  readonly host: string;
  readonly peer: string;
  readonly announced: string;
  readonly rules: string;
  readonly steps: readonly Step[];
}

/** A default drop, with the lines of docs/inline-linux.md but those left out. */
const filter = ({ accepts = ACCEPTS, more = '' } = {}) => `
flush ruleset
table inet filter {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ${accepts.join('\n    ')}
  }
}
${more}`;
const ACCEPTS = [
  'ct state established accept',
  'meta mark & 0x700000 == 0x700000 accept',
  'meta l4proto { tcp, udp } th dport 5060 accept',
  'ip saddr { 192.168.10.0/24 } udp dport 1024-65535 accept',
];
const without = (...words: readonly string[]) =>
  filter({ accepts: ACCEPTS.filter((line) => !words.some((word) => line.includes(word))) });
const SIP_BACK = 'meta l4proto { tcp, udp } th sport 5060 accept';
const MASQUERADE = `table ip nat {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "wan0" masquerade
  }
}`;
const USER = 'daemon: { user: nobody, group: nogroup }\n';
const SITE = `inside: [192.168.10.0/24]\nmedia-ports: [10000-20000]\n${USER}`;

describe('pinholed selftest', { skip: withoutRoot }, () => {
  const machine = `pinholed-st-${process.pid}`;
  let directory: string;
  const nft = (rules: string) => {
    const file = join(directory, 'rules.nft');
    writeFileSync(file, rules);
    execute(...within(machine, 'nft', '-f', file));
  };
  const ruleset = () => execute(...within(machine, 'nft', 'list', 'ruleset'));
  const queue = (action: '-A' | '-D', iptables = 'iptables-legacy') => {
    for (const side of ['--dport', '--sport']) {
      const rule = ['-p', 'udp', side, '5060', '-j', 'NFQUEUE', '--queue-num', '0'];
      execute(...within(machine, iptables, '-t', 'mangle', action, 'FORWARD', ...rule));
    }
  };

  async function told(config: string, ...more: readonly string[]): Promise<Told> {
    const file = join(directory, 'pinholed.yaml');
    writeFileSync(file, config);
    const words = ['--import', 'tsx', program, 'selftest', '--json', '--config', file, ...more];
    const [tool = '', ...args] = within(machine, process.execPath, ...words);
    const child = spawn(tool, args);
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
    const found =
      stdout === '' ? { host: '', peer: '', announced: '', rules: '', steps: [] } : JSON.parse(stdout);
    return { ...found, status, stderr, pid: child.pid! };
  }
  const textOf = ({ steps }: Told, name: string) => steps.find(({ step }) => step === name)!.text;
  /** How the steps of media have ended, but for the stranger's. */
  const states = ({ steps }: Told) =>
    Object.fromEntries(
      steps.flatMap(({ step, state }) => (/first|its answer/.test(step) ? [[step, state]] : [])),
    );
  const stops = ({ steps }: Told) => steps.filter(({ state }) => state === 'stopped').map(({ step }) => step);

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'pinholed-selftest-'));
    execute('ip', 'netns', 'add', machine);
    for (const [name, address] of [
      ['lan0', '192.168.10.1/24'],
      ['wan0', '198.51.100.2/24'],
    ] as const) {
      const peer = ['peer', 'name', `${name}-end`, 'netns', machine];
      execute('ip', 'link', 'add', 'name', name, 'netns', machine, 'type', 'veth', ...peer);
      execute('ip', '-n', machine, 'link', 'set', `${name}-end`, 'up');
      execute('ip', '-n', machine, 'address', 'add', address, 'dev', name);
      execute('ip', '-n', machine, 'link', 'set', name, 'up');
    }
    execute('ip', '-n', machine, 'link', 'set', 'lo', 'up');
    execute('ip', '-n', machine, 'route', 'add', 'default', 'via', '198.51.100.1');
    execute(...within(machine, 'sysctl', '-qw', 'net.ipv4.ip_forward=1'));
    queue('-A');
  });

  after(() => {
    removeNamespace(machine);
    rmSync(directory, { recursive: true, force: true });
  });

  it('passes where the rules are as they have to be, and leaves nothing and changes nothing', async () => {
    nft(filter());
    const rules = ruleset();
    const peers = 'peers: [198.18.0.1, { name: provider, networks: [203.0.113.7] }]\n';
    const result = await told(`${SITE}${peers}`, '--peer', 'provider');
    assert.deepEqual([result.status, result.stderr], [0, '']);
    assert.deepEqual(
      result.steps.map(({ step, state }) => [step, state]),
      [
        'INVITE out',
        'address outside',
        '200 in',
        'pinhole',
        'media in, first',
        'stranger',
        'its answer out',
        'media out, first',
        'its answer in',
        'BYE, 200',
        'closed',
      ].map((step) => [step, 'passed']),
    );
    assert.deepEqual([result.host, result.announced], ['192.168.10.2', '192.168.10.2']);
    assert.equal(result.peer, '203.0.113.7');
    assert.match(result.rules, /inet filter, iptables-legacy mangle/);
    assert.equal(ruleset(), rules);
    assert.deepEqual(
      readdirSync('/run/netns').filter((name) => name.startsWith(`pinholed-selftest-${result.pid}-`)),
      [],
    );
  });

  it('names the rule that is missing: the mark, and then SIP', async () => {
    nft(without('mark'));
    const media = await told(SITE);
    assert.equal(media.status, 2);
    assert.deepEqual(states(media), {
      'media in, first': 'stopped',
      'its answer out': 'not reached',
      'media out, first': 'passed',
      'its answer in': 'passed',
    });
    assert.match(textOf(media, 'media in, first'), /no rule of yours lets through what matches it/);
    nft(without('5060', '1024-65535'));
    const sip = await told(SITE);
    assert.deepEqual([stops(sip), sip.stderr], [['INVITE out'], '']);
    assert.match(sip.steps[0]!.text, /was read by the daemon and passed on, and a rule after it dropped it/);
    assert.deepEqual(sip.steps.at(-1)!.state, 'not reached');
  });

  it('sees that a host inside may answer media and not send first', async () => {
    nft(without('1024-65535'));
    const result = await told(SITE);
    assert.equal(result.status, 2);
    assert.deepEqual(states(result), {
      'media in, first': 'passed',
      'its answer out': 'passed',
      'media out, first': 'stopped',
      'its answer in': 'not reached',
    });
    assert.match(
      textOf(result, 'media out, first'),
      /192\.168\.10\.2 may answer media and not send first: until the other party sends some, it is not heard/,
    );
    const opened = await told(`${SITE}outbound: true\n`);
    assert.deepEqual([opened.status, stops(opened)], [0, []], JSON.stringify(opened.steps));
  });

  it('sees that what answers media does not pass: no line for what is established', async () => {
    nft(filter({ accepts: [...ACCEPTS.filter((line) => !/established|1024/.test(line)), SIP_BACK] }));
    const result = await told(SITE);
    assert.deepEqual(states(result), {
      'media in, first': 'passed',
      'its answer out': 'stopped',
      'media out, first': 'stopped',
      'its answer in': 'not reached',
    });
    assert.match(textOf(result, 'media out, first'), /would hear and not be heard/);
  });

  it('sees that SIP is not handed over', async () => {
    nft(filter());
    queue('-D');
    const result = await told(SITE);
    queue('-A');
    assert.deepEqual(stops(result), ['INVITE out']);
    assert.match(result.steps[0]!.text, /INVITE arrived, but the daemon was not handed it/);
  });

  it('goes through the NAT of the rules: nobody reaches who announces a private address', async () => {
    nft(filter({ more: MASQUERADE }));
    const plain = await told(SITE);
    assert.deepEqual(stops(plain), ['address outside']);
    assert.match(plain.steps[1]!.text, /192\.168\.10\.2 is seen as 198\.51\.100\.2, and it announces itself/);
    const nat = 'nat: [{ external: interface:wan0, hosts: [192.168.10.0/24] }]\n';
    const withNat = await told(`${SITE}${nat}`);
    assert.deepEqual([withNat.status, stops(withNat)], [0, []], JSON.stringify(withNat.steps));
    assert.equal(withNat.announced, '198.51.100.2');
  });

  it('sees what lets a stranger in', async () => {
    nft(filter({ accepts: [...ACCEPTS, 'udp dport 10000-20000 accept'] }));
    const result = await told(SITE);
    assert.deepEqual(stops(result), ['stranger']);
  });

  it("copies a table that is its program's own, and would go with that", async () => {
    nft(filter());
    const [tool = '', ...words] = within(machine, 'nft', '-i');
    const owner = spawn(tool, words, { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => owner.once('close', resolve));
    const said = new Promise<string>((resolve) => {
      let text = '';
      owner.stdout.on('data', (chunk) => {
        text += chunk;
        if (text.includes('policy drop;')) resolve(text);
      });
    });
    owner.stdin.write('add table inet owned { flags owner; }\n');
    owner.stdin.write('add chain inet owned drops { type filter hook forward priority 1; policy drop; }\n');
    owner.stdin.write('list table inet owned\n');
    assert.match(await said, /flags owner/);
    const result = await told(SITE);
    owner.stdin.end('quit\n');
    await ended;
    assert.match(result.rules, /inet owned/);
    assert.deepEqual([result.status, stops(result), result.stderr], [2, ['INVITE out'], '']);
  });

  it('copies rules of iptables-nft, whose matches nft does not read back', async () => {
    nft(filter());
    queue('-D');
    queue('-A', 'iptables-nft');
    const recent = ['-A', 'FORWARD', '-m', 'recent', '--name', 'test', '--set'];
    execute(...within(machine, 'iptables-nft', '-t', 'mangle', ...recent));
    const result = await told(SITE);
    assert.deepEqual([result.status, stops(result), result.stderr], [0, [], '']);
    assert.match(result.rules, /^inet filter, iptables-nft mangle, iptables-legacy mangle$/);
    const chain = 'add chain ip mangle mine { type filter hook forward priority 7; policy drop; }';
    execute(...within(machine, 'nft', chain));
    const partial = await told(SITE);
    queue('-A');
    assert.equal(partial.status, 1);
    assert.match(partial.stderr, /arrives without chain mine of table ip mangle\. Rules of nft have to be/);
  });

  it('says which line arrives as another one', async () => {
    nft(filter());
    execute(...within(machine, 'iptables-nft', '-A', 'FORWARD', '-m', 'recent', '--name', 'test', '--set'));
    execute(...within(machine, 'nft', 'add rule ip filter FORWARD udp dport { 4000, 4002 } accept'));
    const result = await told(SITE);
    assert.match(
      result.rules,
      /; in ip filter other ones than here, first `udp dport \{ 4000, 4002 \} accept`$/,
    );
  });

  it('says which line the copy does not take', async () => {
    nft(filter({ accepts: ['iif "lan0-end" accept', ...ACCEPTS] }));
    const result = await told(SITE);
    assert.equal(result.status, 1);
    assert.match(
      result.stderr,
      /table inet filter, does not take the line `iif "lan0-end" accept` \(Interface does not exist\): .*: write iifname/,
    );
  });

  it('says why there can be no call', async () => {
    nft(filter());
    const cases = [
      [['--host', '10.1.1.1'], /10\.1\.1\.1 is not inside/],
      [['--peer', '192.168.10.9'], /192\.168\.10\.2 and 192\.168\.10\.9 are both behind lan0/],
      [['--peer', '198.51.100.2'], /packets to 198\.51\.100\.2 leave by lo, which is this machine itself/],
      [['--peer', 'nobody'], /--peer: expected an IP address, or a name under `peers`.*, found "nobody"/],
      [['--host', 'phone'], /--host: expected an IP address, found "phone"/],
    ] as const;
    for (const [words, why] of cases) {
      const { status, stderr } = await told(SITE, ...words);
      assert.equal(status, 1);
      assert.match(stderr, why);
    }
  });
});
