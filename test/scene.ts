import assert from 'node:assert/strict';
import { type Address, familyOf, type TransportAddress } from '../src/address/address.ts';
import type { Ingress } from '../src/address/ingress.ts';
import { type Network, parseNetwork } from '../src/address/network.ts';
import type { Peer } from '../src/address/peer.ts';
import { defaults } from '../src/config/schema.ts';
import { createModelFirewall, type ModelOptions } from '../src/firewall/model.ts';
import type { Happening } from '../src/inspector/happening.ts';
import { createInspector, type Inspection, type InspectorSettings } from '../src/inspector.ts';
import { udpPacket } from './packets.ts';

/** A SIP user agent, proxy or stranger: where its packets come from. */
export interface Host extends TransportAddress {
  readonly address: Address;
}

export function host(address: Address, port = 5060): Host {
  return { address, port };
}

export interface SdpLine {
  readonly media?: string;
  readonly port: number;
  readonly proto?: string;
  readonly c?: string;
  readonly attributes?: readonly string[];
}

/** A session description (RFC 8866) with a session-level c= and one m= line for each entry. */
export function sdp(
  address: string,
  lines: readonly (SdpLine | number)[],
  session: readonly string[] = [],
): string {
  const type = address.includes(':') ? 'IP6' : 'IP4';
  const text = [`v=0`, `o=- 1 1 IN ${type} ${address}`, 's=-', `c=IN ${type} ${address}`, 't=0 0'];
  text.push(...session);
  for (const entry of lines) {
    const line = typeof entry === 'number' ? { port: entry } : entry;
    const proto = line.proto ?? 'RTP/AVP';
    text.push(`m=${line.media ?? 'audio'} ${line.port} ${proto} ${proto === 'udptl' ? 't38' : '0'}`);
    if (line.c !== undefined) text.push(`c=IN ${line.c.includes(':') ? 'IP6' : 'IP4'} ${line.c}`);
    for (const attribute of line.attributes ?? []) text.push(`a=${attribute}`);
  }
  return `${text.join('\r\n')}\r\n`;
}

export interface Message {
  readonly callId?: string;
  readonly from?: string;
  readonly to?: string;
  readonly cseq?: number;
  readonly branch?: string;
  readonly headers?: readonly string[];
  readonly body?: string;
  readonly contentType?: string;
}

/** `INVITE` makes a request, `200 INVITE` a response to one. */
export function sip(start: string, message: Message = {}): string {
  const [first, method] = start.split(' ') as [string, string | undefined];
  const status = Number(first);
  const { callId = 'call-1@example.com', from = 'a', to = '', cseq = 1, headers = [], body = '' } = message;
  const name = method ?? first;
  const branch = message.branch ?? `z9hG4bK-${callId}-${cseq}-${name === 'CANCEL' ? 'INVITE' : name}`;
  const lines = [
    Number.isNaN(status) ? `${first} sip:bob@example.com SIP/2.0` : `SIP/2.0 ${status} Reason`,
    `Via: SIP/2.0/UDP 192.0.2.1:5060;branch=${branch}`,
    `From: <sip:alice@example.com>;tag=${from}`,
    `To: <sip:bob@example.com>${to === '' ? '' : `;tag=${to}`}`,
    `Call-ID: ${callId}`,
    `CSeq: ${cseq} ${name}`,
    ...(headers.some((header) => header.startsWith('Contact:'))
      ? []
      : ['Contact: <sip:someone@example.com>']),
    ...headers,
  ];
  if (body !== '') lines.push(`Content-Type: ${message.contentType ?? 'application/sdp'}`);
  lines.push(`Content-Length: ${body.length}`, '', body);
  return lines.join('\r\n');
}

export type Overrides = Partial<Omit<InspectorSettings, 'timers' | 'caps'>> & {
  readonly timers?: Partial<InspectorSettings['timers']>;
  readonly caps?: Partial<InspectorSettings['caps']>;
};

/** Default settings where everyone is inside, unless told otherwise. */
export function settingsWith(overrides: Overrides = {}): InspectorSettings {
  const base = defaults();
  return {
    ...base,
    inside: 'any',
    peers: [],
    ...overrides,
    timers: { ...base.timers, ...overrides.timers },
    caps: { ...base.caps, callsPerHost: 100_000, offersPerSecond: 100_000, ...overrides.caps },
  };
}

/** The interfaces of `routerOf` by number. */
export const [WAN, LAN] = [2, 3];

/** How packets come into a router with an uplink, and a link on which these networks are. */
export function routerOf(...inside: string[]): Ingress {
  const route = (kind: 'gateway' | 'on-link', name: string) => (network: Network) => ({
    network,
    interfaces: [name],
    kind,
  });
  return {
    meant: new Map([
      [1, ['lo']],
      [WAN, ['wan']],
      [LAN, ['lan']],
    ]),
    loopback: ['lo'],
    named: [],
    routed: ['wan', 'lan'],
    routes: [
      ...networks('0.0.0.0/0', '::/0').map(route('gateway', 'wan')),
      ...networks(...inside).map(route('on-link', 'lan')),
    ],
  };
}

export function networks(...texts: string[]) {
  return texts.map((text) => {
    const network = parseNetwork(text);
    assert.ok(network, text);
    return network;
  });
}

/** Peers as a file would list them: networks alone. */
export function peerNetworks(...texts: string[]): InspectorSettings['peers'] {
  return networks(...texts).map((network) => peer(null, { networks: [network] }));
}

/** One peer of `peers`, with what is not given as the general settings say. */
export function peer(name: string | null, given: Partial<Peer> & Pick<Peer, 'networks'>): Peer {
  return {
    name,
    calls: null,
    offersPerSecond: null,
    earlyMediaSource: null,
    mediaSource: null,
    mediaPorts: null,
    ...given,
  };
}

export interface Scene {
  /** Sends one SIP message over UDP, whose interface says nothing against it, and commits what it leads to, as the data path would. */
  send(from: Host, to: Host, text: string): Inspection;
  /** Would this media packet pass now? Passing packets count as traffic. */
  media(from: Address, fromPort: number, to: Address, toPort: number): boolean;
  wait(ms: number): void;
  /** `address first-last < sources` of each pinhole that the firewall has, sorted. */
  open(): string[];
  refusals(): string[];
  readonly now: number;
  readonly commits: number;
  readonly events: Happening[];
  readonly inspector: ReturnType<typeof createInspector>;
  apply(inspection: Inspection): void;
}

/** `model`: what the administrator's ruleset lets pass beside. */
export function createScene(overrides: Overrides = {}, model: ModelOptions = {}): Scene {
  const settings = settingsWith(overrides);
  const inspector = createInspector(() => settings);
  const firewall = createModelFirewall(model);
  const events: Happening[] = [];
  let now = 1_000_000;
  let commits = 0;

  function apply(inspection: Inspection): void {
    events.push(...inspection.events);
    const underWay = [...inspector.calls()].filter(({ state }) => state !== 'ended').length;
    assert.deepEqual(inspector.sizes(), { calls: underWay, pinholes: [...inspector.pinholes()].length });
    if (inspection.change === null) return;
    commits++;
    firewall.commit(inspection.change);
    firewall.retire({ closed: inspection.change.close });
    const intended = [...inspector.pinholes()].map(({ id }) => id).sort();
    const actual = firewall
      .list()
      .map(({ id }) => id)
      .sort();
    assert.deepEqual(actual, intended, 'the firewall has what the inspector intends');
  }

  return {
    send: (from, to, text) => {
      now += 1;
      apply(inspector.tick(now));
      const inspection = inspector.inspect(udpPacket(from, to, text), now, null);
      apply(inspection);
      return inspection;
    },
    media: (source, sourcePort, destination, destinationPort) => {
      const flow = { protocol: 'udp', source, sourcePort, destination, destinationPort } as const;
      const answer = firewall.ask(flow, 172, now);
      if (answer.pinhole !== null) inspector.traffic(answer.pinhole, now);
      for (const id of firewall.answered(flow)) inspector.traffic(id, now, 'sent');
      apply(inspector.tick(now));
      return answer.passes;
    },
    wait: (ms) => {
      now += ms;
      apply(inspector.tick(now));
    },
    open: () =>
      firewall
        .list()
        .map(({ protocol, address, ports, sources, sourcePort }) => {
          const at = familyOf(address) === 6 ? `[${address}]` : address;
          const from = sources === 'any' ? 'any' : sources.join(',');
          const pin = sourcePort === null ? '' : `:${sourcePort}`;
          return `${protocol} ${at}:${ports[0]}-${ports[1]} < ${from}${pin}`;
        })
        .sort(),
    refusals: () => events.flatMap((event) => (event.type === 'refused' ? [event.refusal.reason] : [])),
    get now() {
      return now;
    },
    get commits() {
      return commits;
    },
    events,
    inspector,
    apply,
  };
}
