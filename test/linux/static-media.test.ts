/**
 * A peer whose SIP nobody on the firewall can read, by a real TLS connection of its own: the PBX (client) listens on port 5061,
 * the provider (server) connects, and what is open follows the connection.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, afterEach, before, describe, it } from 'node:test';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { eventually, mediaFlows, translations } from '../../lab/kernel.ts';
import { externalAddress, natRules } from '../../lab/nat.ts';
import { createStage, type Stage } from '../../lab/stage.ts';
import { addressOf, createTopology, type HostName, queueRules, type Topology } from '../../lab/topology.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { type Program, watch } from '../programs/programs.ts';

const PORT = 5061;
const SETTINGS = `
inside: [10.0.1.0/24]
media-hosts: []
media-ports: [4000-4999]
sip-ports: [5060, ${PORT}]
`;
const ENTRY = `static-media: [{name: trunk, peers: [${addressOf('server')}], hosts: [${addressOf('client')}], ports: [4000-4003]}]`;
const OPEN = [4000, 4001, 4002, 4003].map((port) => `udp 10.0.2.10 > 10.0.1.10 ${port}`);

/** Hands over TLS as well, and lets it through: what is in it is for both ends alone. */
function tlsRules(firewall: Topology['firewall']): void {
  for (const side of ['--dport', '--sport']) {
    firewall(
      ...['iptables-legacy', '-t', 'mangle', '-A', 'FORWARD', '-p', 'tcp', side, String(PORT)],
      ...['-j', 'NFQUEUE', '--queue-num', '0'],
    );
  }
  firewall('nft', `add rule inet filter forward tcp dport ${PORT} accept`);
  firewall('nft', `add rule inet filter forward tcp sport ${PORT} accept`);
}

/** TLS with a key that both ends know (RFC 4279): no certificates. `word` is said by who is connected to. */
const KEYED = `
  const tls = require('node:tls');
  const key = Buffer.alloc(32, 7);
  const common = { ciphers: 'PSK-AES128-GCM-SHA256', maxVersion: 'TLSv1.2', checkServerIdentity: () => undefined };`;
const SERVER = `${KEYED}
  const server = tls.createServer({ ...common, pskCallback: () => key }, (socket) => {
    console.log('accepted');
    socket.on('data', (text) => socket.write(text));
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
  });
  server.on('tlsClientError', () => {});
  server.listen(${PORT}, '0.0.0.0', () => console.log('listening'));`;
const CLIENT = (to: string) => `${KEYED}
  const socket = tls.connect({ ...common, host: '${to}', port: ${PORT}, pskCallback: () => ({ psk: key, identity: 'x' }) });
  socket.on('secureConnect', () => console.log('connected'));
  socket.on('data', (text) => console.log('answered ' + text));
  socket.on('close', () => { console.log('closed'); process.exit(); });
  socket.on('error', (error) => console.log(error.message));
  process.stdin.on('data', (text) => {
    const word = text.toString().trim();
    if (word === 'end') socket.end();
    else if (word === 'reset') socket.resetAndDestroy();
    else socket.write(word);
  });`;

/** What was open and is closed again leaves neither a rule nor an entry of the kernel's. */
async function nothingLeft(topology: Topology, stage: Stage): Promise<void> {
  await eventually(
    () => [...stage.kernel().elements, ...translations(topology), ...mediaOf(topology)],
    (left) => left.length === 0,
  );
}

function mediaOf(topology: Topology): string[] {
  return mediaFlows(topology).filter((flow) => /\budp\b/.test(flow));
}

describe('static-media', { skip: withoutRoot }, () => {
  let topology: Topology;
  let stage: Stage;
  let daemon: Daemon;
  let pbx: Program;
  let others: Program[] = [];

  const run = (on: HostName, script: string): Program => {
    const program = watch(topology.spawn(on, process.execPath, '-e', script));
    others.push(program);
    return program;
  };
  const connect = async (from: HostName, to = addressOf('client')): Promise<Program> => {
    const program = run(from, CLIENT(to));
    await program.said(/connected/);
    return program;
  };
  const isOpen = () =>
    eventually(
      () => stage.kernel().elements,
      (elements) => elements.join() === OPEN.join(),
    );

  afterEach(async () => {
    await Promise.all(others.map((program) => program.stop('SIGKILL')));
    others = [];
    await daemon?.close();
    topology.firewall('conntrack', '-F');
  });

  describe('for a PBX with an address of its own', () => {
    before(async () => {
      topology = await createTopology({
        rules(firewall) {
          queueRules(firewall);
          tlsRules(firewall);
        },
      });
      stage = await createStage(topology, { family: 4 });
      pbx = watch(topology.spawn('client', process.execPath, '-e', SERVER));
      await pbx.said(/listening/);
    });

    after(async () => {
      await pbx?.stop('SIGKILL');
      await topology?.close();
    });

    const start = async (more = '') => {
      daemon = await startDaemon(topology, { changes: `${SETTINGS}${ENTRY}\n${more}` });
    };

    it('is open to the peer while its connection is up, to nobody else, and closed with its end', async () => {
      await start();
      await connect('stranger');
      assert.deepEqual(stage.kernel().elements, [], 'a stranger connects as well, and opens nothing');
      const provider = await connect('server');
      await isOpen();
      await stage.play(
        stage.passes('server:6000', 'client:4000'),
        stage.passes('client:4000', 'server:6000'),
        stage.passes('server:6002', 'client:4003'),
        stage.blocked('server:6000', 'client:4004'),
        stage.blocked('stranger:6000', 'client:4000'),
        stage.blocked('gateway:6000', 'client:4001'),
      );
      provider.type('end\n');
      await provider.said(/closed/);
      await nothingLeft(topology, stage);
      await stage.play(
        stage.blocked('server:6000', 'client:4000'),
        stage.blocked('stranger:6000', 'client:4000'),
      );
      await daemon.said(/closed static [^\n]*connection-closed/g);
    });

    it('closes with a reset as well', async () => {
      await start();
      const provider = await connect('server');
      await isOpen();
      provider.type('reset\n');
      await nothingLeft(topology, stage);
    });

    it('is there in what people look at', async () => {
      await start();
      await connect('server');
      await isOpen();
      await stage.play(stage.passes('server:6000', 'client:4000'));
      const ask = (...words: readonly string[]) =>
        topology.firewall(
          process.execPath,
          '--import',
          'tsx',
          'src/main.ts',
          ...words,
          '--config',
          daemon.config,
        );
      assert.match(ask('pinholes'), /udp +10\.0\.1\.10:4000-4003 +10\.0\.2\.10 +static udp/);
      assert.match(ask('calls'), /confirmed .*static-idle 59m.*static-media trunk > 10\.0\.1\.10/);
      assert.match(ask('status'), /calls +1 now.*pinholes +1 open/s);
      assert.match(ask('explain', 'static-media trunk 10.0.2.10'), /10\.0\.1\.10:4000-4003/);
    });

    it('does not let out what the PBX sends first, outbound: true or not; the line that rules prints does', async () => {
      await start('outbound: true');
      const provider = await connect('server');
      await isOpen();
      await stage.play(stage.blocked('client:4001', 'server:6001'));
      const rules = topology.firewall(
        ...[process.execPath, '--import', 'tsx', 'src/main.ts', 'rules'],
        ...['--platform', 'linux', '--config', daemon.config],
      );
      const [, line = ''] = /^#\t(ip saddr \{ 10\.0\.1\.10 \} .* accept)$/m.exec(rules) ?? [];
      topology.firewall('nft', `insert rule inet filter forward ${line}`);
      try {
        await stage.play(
          stage.passes('client:4002', 'server:6002'),
          stage.blocked('client:4004', 'server:6002'),
          stage.blocked('client:4002', 'stranger:6002'),
        );
      } finally {
        const listed = topology.firewall('nft', '-a', 'list', 'chain', 'inet', 'filter', 'forward');
        const handle = /udp sport 4000-4003.*# handle ([0-9]+)/.exec(listed)?.[1] ?? '';
        topology.firewall('nft', `delete rule inet filter forward handle ${handle}`);
      }
      provider.type('end\n');
      await nothingLeft(topology, stage);
    });

    it('outlives a daemon that was killed, and follows the same connection on', async () => {
      await start();
      const provider = await connect('server');
      await isOpen();
      await daemon.said(/opened static/g);
      daemon.signal('SIGKILL');
      await daemon.ended();
      await stage.play(stage.passes('server:6000', 'client:4000'));
      await daemon.restart();
      assert.match(daemon.lines.at(-1)!, /1 calls with 1 pinholes taken up, 0 other rules removed/);
      await isOpen();
      await stage.play(stage.passes('server:6000', 'client:4000'));
      provider.type('end\n');
      await nothingLeft(topology, stage);
    });

    it('without a journal is open again with the next thing that the PBX says', async () => {
      await start();
      const provider = await connect('server');
      await isOpen();
      await daemon.stop();
      await nothingLeft(topology, stage);
      await daemon.restart();
      assert.deepEqual(stage.kernel().elements, []);
      provider.type('ping\n');
      await provider.said(/answered ping/);
      await isOpen();
    });

    it('follows a reload', async () => {
      await start();
      await connect('server');
      await isOpen();
      const text = readFileSync(daemon.config, 'utf8');
      writeFileSync(daemon.config, text.replace('4000-4003', '4100-4100'));
      daemon.signal('SIGHUP');
      await eventually(
        () => stage.kernel().elements,
        (elements) => elements.join() === 'udp 10.0.2.10 > 10.0.1.10 4100',
      );
      writeFileSync(daemon.config, text.replace(ENTRY, ''));
      daemon.signal('SIGHUP');
      await nothingLeft(topology, stage);
    });
  });

  describe('for a PBX behind NAT', () => {
    before(async () => {
      topology = await createTopology({
        rules(firewall) {
          natRules(firewall);
          tlsRules(firewall);
          firewall(
            'nft',
            `insert rule inet nat prerouting iifname != "client" ip daddr ${externalAddress(4)} tcp dport ${PORT} dnat ip to 10.0.1.10`,
          );
        },
      });
      stage = await createStage(topology, { family: 4, external: externalAddress(4), behind: ['client'] });
      pbx = watch(topology.spawn('client', process.execPath, '-e', SERVER));
      await pbx.said(/listening/);
    });

    after(async () => {
      await pbx?.stop('SIGKILL');
      await topology?.close();
    });

    it('is reached at its external address, sends from its own ports, and is closed with the connection', async () => {
      daemon = await startDaemon(topology, {
        changes: `${SETTINGS}${ENTRY}\noutbound: true\nnat: [{external: ${externalAddress(4)}, hosts: [10.0.1.10]}]`,
      });
      const provider = await connect('server', externalAddress(4));
      await isOpen();
      assert.deepEqual(
        translations(topology).filter((one) => one.includes(' 4000 ')),
        [
          `dnat4 udp 10.0.2.10 ${externalAddress(4)} 4000 is 10.0.1.10`,
          `snat4 udp 10.0.1.10 4000 10.0.2.10 is ${externalAddress(4)}`,
        ],
      );
      await stage.play(
        stage.passes('server:6000', 'client:4000'),
        stage.passes('client:4000', 'server:6000'),
        stage.blocked('stranger:6000', 'client:4000'),
      );
      provider.type('end\n');
      await nothingLeft(topology, stage);
      await stage.play(stage.blocked('server:6000', 'client:4000'));
    });
  });
});
