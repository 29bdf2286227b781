import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execute, link, removeNamespace, within } from '../../lab/namespaces.ts';
import { startHost, type TestHost } from '../../src/selftest/host.ts';
import { audioAt, messagesOf } from '../../src/selftest/messages.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';

/**
 * Follows "On a firewall" of docs/inline-linux.md step by step, in the order in which it stands there: the blocks and the
 * commands are taken from the page. The machine is a network namespace that forwards between two others, with a default
 * drop, and an overlay over this system's files, so that what is installed goes with it. systemd does not run there: what the
 * unit says is done as systemd does it.
 */
const root = fileURLToPath(new URL('../..', import.meta.url));
const program = join(root, 'src/main.ts');
const page = readFileSync(join(root, 'docs/inline-linux.md'), 'utf8');
const guide = page.split('\n## On a firewall\n')[1]!.split('\n## ')[0]!;

interface Block {
  readonly language: string;
  readonly text: string;
}

/** Blocks of code in their order, without their indent. */
function blocksOf(text: string): Block[] {
  return [...text.matchAll(/^( *)```(\w*)\n([\s\S]*?)^ *```$/gm)].map(([, indent, language, code]) => ({
    language: language!,
    text: code!.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  }));
}

/** Commands that stand in the text, in their order, each once. */
function commandsIn(text: string): string[] {
  const prose = text.replace(/^ *```[\s\S]*?^ *```$/gm, '');
  const found = [...prose.matchAll(/`((?:sudo )?(?:pinholed|nft) [a-z][^`]*)`/g)].map(
    ([, command]) => command!,
  );
  return [...new Set(found.map((command) => command.replaceAll(/\s+/g, ' ')))];
}

function withoutMachine(): string | false {
  if (withoutRoot !== false) return withoutRoot;
  for (const tool of ['apt-get', 'dpkg-deb', 'unshare', 'nsenter', 'setpriv']) {
    if (spawnSync(tool, ['--version']).error !== undefined) return `needs ${tool}`;
  }
  const { stdout } = spawnSync('dpkg-query', ['-W', 'nodejs'], { encoding: 'utf8' });
  if (!(Number.parseInt((stdout ?? '').split('\t')[1] ?? '', 10) >= 20))
    return 'needs Node.js 20 from a Debian package';
  const mounts =
    'mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w /mnt/r && mount -t overlay none -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r';
  return spawnSync('unshare', ['--mount', 'sh', '-c', mounts]).status === 0 ? false : 'needs overlay mounts';
}

/** Holds the files of the machine: an overlay over those of this system. */
const MACHINE = `
set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay none -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount -t sysfs sysfs "$1/root/sys"
mount -t tmpfs none "$1/root/run"
mkdir "$1/root/site"
mount --bind "$2" "$1/root/site"
printf '#!/bin/sh\\necho "$*" >> /run/systemctl\\n' > "$1/root/usr/local/sbin/systemctl"
chmod 755 "$1/root/usr/local/sbin/systemctl"
ln -sf /usr/sbin/iptables-legacy "$1/root/usr/local/sbin/iptables"
ln -sf /usr/sbin/ip6tables-legacy "$1/root/usr/local/sbin/ip6tables"
echo ready
exec sleep infinity
`;
const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  LC_ALL: 'C',
  DEBIAN_FRONTEND: 'noninteractive',
};

describe('docs/inline-linux.md, followed in its order', { skip: withoutMachine() }, () => {
  const name = (host: string) => `pinholed-guide-${process.pid}-${host}`;
  const [machine, phone, provider] = [name('machine'), name('phone'), name('provider')];
  const [install, configuration, table, accepts, start, ...more] = blocksOf(guide);
  let folder: string;
  let holder: ChildProcess;
  let daemon: ChildProcess | null = null;
  const hosts: TestHost[] = [];
  const inMachine = (...words: readonly string[]) => [
    ...['nsenter', '-t', String(holder.pid), '--mount', '--net', 'chroot', join(folder, 'machine/root')],
    ...['sh', '-c', 'cd /site && exec "$@"', 'sh', ...words],
  ];
  const run = (words: readonly string[], input = '') => {
    const [tool = '', ...args] = inMachine(...words);
    return spawnSync(tool, args, { encoding: 'utf8', env: ENVIRONMENT, input });
  };
  /** A line as it stands on the page, by a shell of the machine. */
  const shell = (line: string) => run(['sh', '-e', '-c', line.replace(/^sudo /, '')]);
  const done = (line: string) => {
    const { status, stdout, stderr } = shell(line);
    assert.equal(status, 0, `${line}\n${stdout}${stderr}`);
    return stdout;
  };

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'pinholed-guide-'));
    chmodSync(folder, 0o755);
    for (const one of ['machine', 'site', 'dist']) mkdirSync(join(folder, one));
    const node = (...args: readonly string[]) =>
      execFileSync(process.execPath, args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
    node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist'));
    node('--import', 'tsx', 'scripts/freeze-page.ts', join(folder, 'dist/src/report/page/assets.js'));
    node('--import', 'tsx', 'scripts/freeze-packages.ts', join(folder, 'dist/src'));
    node(
      '--import',
      'tsx',
      'scripts/packaging/build-deb.ts',
      join(folder, 'site/build/debian'),
      join(folder, 'dist'),
    );
    for (const one of [machine, phone, provider]) execute('ip', 'netns', 'add', one);
    const links = [
      [phone, 'lan0', '192.168.10.1', ['192.168.10.20'], 1],
      [provider, 'wan0', '203.0.113.1', ['203.0.113.10', '203.0.113.66'], 2],
    ] as const;
    for (const [host, device, gateway, addresses, number] of links) {
      link({ host, firewall: machine, device, number, nets: [{ gateway, addresses, prefixLength: 24 }] });
    }
    execute(...within(machine, 'ip', 'link', 'set', 'lo', 'up'));
    execute(...within(machine, 'ip', 'route', 'add', 'default', 'via', '203.0.113.10'));
    execute(...within(machine, 'sysctl', '-qw', 'net.ipv4.ip_forward=1'));
    const words = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', MACHINE, 'sh'];
    const [tool = '', ...args] = within(machine, ...words, join(folder, 'machine'), join(folder, 'site'));
    holder = spawn(tool, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise<void>((resolve, reject) => {
      holder.stdout!.once('data', () => resolve());
      holder.once('exit', (status) => reject(new Error(`the machine ended with ${status}`)));
    });
  });

  after(() => {
    for (const host of hosts) host.close();
    daemon?.kill('SIGKILL');
    holder?.kill('SIGKILL');
    for (const one of [machine, phone, provider]) removeNamespace(one);
    rmSync(folder, { recursive: true, force: true });
  });

  it('has the blocks that are followed here, and no other', () => {
    const languages = [install, configuration, table, accepts, start].map((block) => block?.language);
    assert.deepEqual([languages, more], [['sh', 'yaml', '', '', 'sh'], []]);
  });

  it('0. installs the program', () => {
    done(install!.text);
    assert.match(done('pinholed --version'), /^\d+\.\d+\.\d+\n$/);
    assert.match(done('getent passwd _pinholed'), /nologin$/m);
    assert.equal(
      done('man --path pinholed.8 >/dev/null; ls /usr/share/man/man8/pinholed.8.gz').trim(),
      '/usr/share/man/man8/pinholed.8.gz',
    );
    assert.equal(shell('cat /run/systemctl').status, 1, 'nothing is started yet');
  });

  it('1. takes the configuration', () => {
    writeFileSync(join(folder, 'site/pinholed.yaml'), configuration!.text);
    done('umask 022; cp pinholed.yaml /etc/pinholed.yaml');
    assert.ok(commandsIn(guide).includes('pinholed check'));
    assert.match(done('pinholed check'), /^\/etc\/pinholed\.yaml: ok$/m);
  });

  it('2. has the rules that the command prints, and loads them beside a default drop', () => {
    assert.ok(commandsIn(guide).includes('pinholed rules --platform linux'));
    const printed = done('pinholed rules --platform linux');
    const plain = (text: string) =>
      text
        .split('\n')
        .map((line) => line.replace(/^#?\s+/, ''))
        .filter((line) => line !== '');
    const lines = plain(printed);
    for (const line of [...plain(table!.text), ...plain(accepts!.text)])
      assert.ok(lines.includes(line), line);

    const drops = ['input', 'forward'].map(
      (hook) => `chain ${hook} { type filter hook ${hook} priority filter; policy drop;\n${accepts!.text}}`,
    );
    const own = `flush ruleset\ntable inet filter {\n${drops.join('\n')}\n}\n`;
    const load = (text: string) => {
      writeFileSync(join(folder, 'site/nftables.conf'), text);
      done('cp nftables.conf /etc/nftables.conf');
      return shell('nft -f /etc/nftables.conf');
    };
    if (load(`${own}${table!.text}`).status === 0) return;
    // A kernel without nft's queue: the page says what takes its place, and that the command prints it.
    assert.match(
      guide,
      /Where the kernel has no nft `queue`, iptables' NFQUEUE does the same; the command prints that, too/,
    );
    assert.equal(load(own).status, 0);
    const instead = plain(printed).filter((line) => /^ip6?tables /.test(line));
    assert.equal(instead.length, 4);
    for (const line of instead) done(line);
  });

  it('2. has a test call pass through them, before anything runs', () => {
    assert.ok(commandsIn(guide).includes('sudo pinholed selftest'));
    assert.match(done('sudo pinholed selftest'), /A call passes, in both directions\./);
  });

  it('3. starts', async () => {
    done(start!.text);
    assert.equal(done('cat /run/systemctl'), 'enable --now pinholed\n');
    daemon = startUnit(done('cat /lib/systemd/system/pinholed.service'));
    let said = '';
    daemon.stderr!.on('data', (chunk) => {
      said += chunk;
    });
    for (
      let status = shell('pinholed status').status;
      status !== 0;
      status = shell('pinholed status').status
    ) {
      assert.equal(daemon.exitCode, null, said);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  });

  /** What systemd does for the unit (systemd.exec(5), systemd.service(5)). */
  function startUnit(unit: string): ChildProcess {
    const all = (key: string) =>
      [...unit.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value]) => value!);
    const one = (key: string) => all(key)[0] ?? assert.fail(key);
    const [user, group, umask] = ['User', 'Group', 'UMask'].map(one);
    for (const [key, base] of [
      ['StateDirectory', '/var/lib'],
      ['LogsDirectory', '/var/log'],
      ['RuntimeDirectory', '/run'],
    ] as const) {
      done(`install -d -o ${user} -g ${group} -m ${one(`${key}Mode`)} ${base}/${one(key)}`);
    }
    const capability = one('CapabilityBoundingSet').toLowerCase().replace('cap_', '');
    assert.equal(one('AmbientCapabilities').toLowerCase(), `cap_${capability}`);
    const rights = [
      ...['setpriv', '--reuid', user!, '--regid', group!, '--clear-groups', '--no-new-privs'],
      ...[
        '--inh-caps',
        `-all,+${capability}`,
        '--ambient-caps',
        `-all,+${capability}`,
        '--bounding-set',
        `-all,+${capability}`,
      ],
    ];
    const asUser = (line: string) => [...rights, 'sh', '-c', `umask ${umask} && exec ${line}`];
    for (const line of all('ExecStartPre')) {
      if (line.startsWith('-+')) shell(line.slice(2));
      else {
        const { status, stderr } = run(asUser(line));
        assert.equal(status, 0, `${line}: ${stderr}`);
      }
    }
    const [tool = '', ...args] = inMachine(...asUser(one('ExecStart')));
    return spawn(tool, args, { env: ENVIRONMENT, stdio: ['ignore', 'ignore', 'pipe'] });
  }

  it('4. looks: nothing is missing', () => {
    assert.deepEqual(
      commandsIn(guide).filter((command) => /doctor|top|^nft/.test(command)),
      ['sudo pinholed doctor', 'pinholed top', 'nft list table inet pinholed'],
    );
    const doctor = shell('sudo pinholed doctor --json');
    const { findings } = JSON.parse(doctor.stdout) as {
      findings: { readonly level: string; readonly check: string; readonly text: string }[];
    };
    assert.deepEqual(
      findings.filter(({ level }) => level === 'fault'),
      [],
    );
    assert.match(done('pinholed top'), /0 calls, 0 pinholes/);
    assert.match(done('nft list table inet pinholed'), /^table inet pinholed \{/m);
  });

  it('then a call passes with its media, a stranger does not, and nothing is left', async () => {
    const start = (namespace: string) =>
      startHost(within(namespace, process.execPath, '--import', 'tsx', program, 'selftest', '--as-host'));
    const [inside, outside] = [start(phone), start(provider)];
    hosts.push(inside, outside);
    const at = (address: string, port: number) => ({ address, port });
    const [caller, callee] = [at('192.168.10.20', 5060), at('203.0.113.10', 5060)];
    const [ear, mouth, stranger] = [
      at('192.168.10.20', 10_000),
      at('203.0.113.10', 40_000),
      at('203.0.113.66', 40_000),
    ];
    for (const one of [caller, ear]) assert.ok(await inside.bind(one));
    for (const one of [callee, mouth, stranger]) assert.ok(await outside.bind(one));
    const arrives = async (to: TestHost, text: string) =>
      assert.notEqual(await to.gets(text, 10_000), null, text);

    const { invite, ok, ack, bye, okBye } = messagesOf('guide', caller, callee);
    const [offer, answer] = [invite(audioAt(ear.address, ear.port)), ok(audioAt(mouth.address, mouth.port))];
    inside.send(caller, callee, offer);
    await arrives(outside, offer);
    outside.send(callee, caller, answer);
    await arrives(inside, answer);
    inside.send(caller, callee, ack());
    await arrives(outside, ack());
    // What is listed may be half a second old.
    const pinhole = /udp +192\.168\.10\.20:10000-10001 +203\.0\.113\.10/;
    let listed = done('pinholed pinholes');
    for (let looks = 1; looks < 3 && !pinhole.test(listed); looks++) listed = done('pinholed pinholes');
    assert.match(
      listed,
      pinhole,
      `${listed}${shell('pinholed refused').stdout}${shell('pinholed status').stdout}`,
    );

    outside.send(stranger, ear, 'stranger');
    outside.send(mouth, ear, 'media');
    await arrives(inside, 'media');
    assert.equal(inside.has('stranger'), false);
    inside.send(ear, mouth, 'media back');
    await arrives(outside, 'media back');

    inside.send(caller, callee, bye());
    await arrives(outside, bye());
    outside.send(callee, caller, okBye());
    await arrives(inside, okBye());
    while (!/0 calls, 0 pinholes/.test(done('pinholed top'))) {
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  });
});
