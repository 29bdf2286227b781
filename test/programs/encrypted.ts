/** The proxy, reached over TLS and mirroring every message by HEP. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { addressOf, type HostName, relayAddress, type Topology } from '../../lab/topology.ts';
import { makeCertificate } from './certificate.ts';
import { type Program, temporaryDirectory, watch } from './programs.ts';
import { startProxy } from './proxy.ts';

/** What kamailio's copies bear. */
export const PASSWORD = 'mirror me';
/** Where the firewall listens: its address towards the server. */
export const COLLECTOR = { address: '10.0.2.1', port: 9060 } as const;

/** Where SIP over WebSocket over TLS is taken: browsers, and Node, connect to 5060 and 5061 for nobody (WHATWG Fetch, bad ports). */
export const WSS_PORT = 8443;

/** SIP over WebSocket (RFC 7118): what is asked for by HTTP there is a handshake. */
const WEBSOCKET = [
  'loadmodule "xhttp.so"',
  'loadmodule "websocket.so"',
  'event_route[xhttp:request] {',
  '  if ($hdr(Upgrade) =~ "websocket" && ws_handle_handshake()) exit;',
  '  xhttp_reply("404", "Not Found", "", "");',
  '}',
];

/** As `startProxy`. With `websocket` it takes SIP over WebSocket over TLS as well. */
export function startEncryptedProxy(
  topology: Topology,
  { websocket = false }: { readonly websocket?: boolean } = {},
): Promise<readonly Program[]> {
  const address = addressOf('server');
  const { certificate, key } = makeCertificate(address);
  return startProxy(topology, {
    core: [
      'tcp_children=2',
      'enable_tls=yes',
      ...(websocket ? ['tcp_accept_no_cl=yes', `listen=tls:${address}:${WSS_PORT}`] : []),
      `listen=tls:${address}:5061`,
    ],
    modules: [
      'loadmodule "tls.so"',
      'loadmodule "siptrace.so"',
      `modparam("tls", "certificate", "${certificate}")`,
      `modparam("tls", "private_key", "${key}")`,
      'modparam("tls", "cipher_list", "DEFAULT@SECLEVEL=0")',
      'modparam("tls", "tls_method", "TLSv1+")',
      'modparam("tls", "verify_certificate", 0)',
      'modparam("tls", "require_certificate", 0)',
      `modparam("siptrace", "duplicate_uri", "sip:${COLLECTOR.address}:${COLLECTOR.port}")`,
      'modparam("siptrace", "hep_mode_on", 1)',
      'modparam("siptrace", "hep_version", 3)',
      `modparam("siptrace", "auth_key", "${PASSWORD}")`,
      'modparam("siptrace", "trace_to_database", 0)',
      'modparam("siptrace", "trace_on", 1)',
      'modparam("siptrace", "trace_mode", 1)',
      ...(websocket ? WEBSOCKET : []),
    ],
    memory: { shared: 64, own: 16 },
  });
}

/** Lines of a configuration for a firewall that is told by the proxy; more of `hep` may follow them. */
export function mirroredConfig(): readonly string[] {
  const passwordFile = join(temporaryDirectory(), 'password');
  writeFileSync(passwordFile, `${PASSWORD}\n`, { mode: 0o600 });
  return [
    'inside: [10.0.2.0/24]',
    `media-hosts: [${relayAddress()}]`,
    'hold-encrypted: 50ms',
    'timers: { mux-grace: 0 }',
    'hep:',
    `  listen: ${COLLECTOR.address}:${COLLECTOR.port}`,
    `  from: [${addressOf('server')}]`,
    `  password-file: ${passwordFile}`,
  ];
}

const RULES = `
table inet filter {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established accept
    meta mark & 0x700000 == 0x700000 accept
    tcp dport { 5061, ${WSS_PORT} } accept
    ip saddr 10.0.2.0/24 accept
  }
}`;

/** Hands TLS over, on the proxy's two ports, and forwards that and what bears the mark of a pinhole. */
export function encryptedRules(firewall: (program: string, ...args: readonly string[]) => string): void {
  for (const side of ['--dports', '--sports']) {
    firewall(
      ...['iptables-legacy', '-t', 'mangle', '-A', 'FORWARD', '-p', 'tcp'],
      ...['-m', 'multiport', side, `5061,${WSS_PORT}`, '-j', 'NFQUEUE', '--queue-num', '0'],
    );
  }
  firewall('nft', RULES);
}

/** Sends each datagram from a host, and resolves when all are sent. */
export async function sendFrom(
  topology: Topology,
  from: HostName,
  datagrams: readonly { readonly to: string; readonly port: number; readonly bytes: Buffer }[],
): Promise<void> {
  const script = `
    const socket = require('node:dgram').createSocket('udp4');
    const all = JSON.parse(process.argv[1]);
    let left = all.length;
    for (const { to, port, hex } of all)
      socket.send(Buffer.from(hex, 'hex'), port, to, () => { if (--left === 0) socket.close(); });`;
  const all = datagrams.map(({ to, port, bytes }) => ({ to, port, hex: bytes.toString('hex') }));
  const sender = watch(topology.spawn(from, process.execPath, '-e', script, JSON.stringify(all)));
  assert.equal(await sender.ended, 0, sender.lines.join('\n'));
}

/** Media of somebody else, to every port that is open for a party of the call. */
export function throwIn(topology: Topology, from: HostName, elements: readonly string[]): Promise<void> {
  const bytes = Buffer.from('80000001000000010000000153', 'hex');
  const places = elements.map((element) => element.split(' ').slice(-2));
  return sendFrom(
    topology,
    from,
    places.map(([to, port]) => ({ to: to!, port: Number(port), bytes })),
  );
}
