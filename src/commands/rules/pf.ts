import { release } from 'node:os';
import type { PortRange } from '../../address/ports.ts';
import { divertInterfaces } from '../../config/rules.ts';
import type { Settings } from '../../config/schema.ts';
import { byTranslator, externalOf, hostsOf } from './nat.ts';
import { wayToStaticPeers } from './static-media.ts';

/**
 * The lines for pf.conf(5). `file` is the configuration they are made from, null for the defaults; `found` are the
 * interfaces of this machine that have inside addresses, for settings that name none.
 */
export function pfRules(settings: Settings, file: string | null, found: readonly string[]): string {
  const { freebsd, sipPorts, mediaPorts, fail, tcpMedia } = settings;
  const { anchor, shards, tag } = freebsd;
  const configured = divertInterfaces(settings);
  /** What outside parties announce is not of our ports. */
  const opened: readonly PortRange[] = settings.outbound ? [[1024, 65535]] : mediaPorts;
  const named = configured.length > 0 ? configured : found;
  const inside = named.length > 0 ? named : ['em1'];
  const sip = `${family()}proto { tcp udp } to port ${ports(sipPorts)}`;
  const divert =
    settings.intercept === 'bpf'
      ? [
          '# SIP is read as it passes the inside interfaces ("intercept: bpf"), and nothing is diverted. It has to pass there:',
          `pass quick on $inside ${sip}`,
        ]
      : fail === 'open'
        ? [
            '# SIP from and to the inside hosts goes through the daemon, which loads the rules for it here while it runs.',
            `anchor "${anchor}/divert"`,
          ]
        : [
            '# SIP from and to the inside hosts goes through the daemon: each packet once, in both directions.',
            ...divertLines(settings),
          ];
  const media = tcpMedia ? '{ tcp udp }' : 'udp';
  const tagged =
    tag === null
      ? []
      : [
          '# The rules of pinholes only tag. This one lets media pass.',
          `pass quick proto ${media} tagged ${tag}`,
        ];
  return `${[
    `# pf.conf(5) for pinholed(8), made from ${file ?? 'its defaults'} by "pinholed rules".`,
    '',
    '# Among the options, at the beginning. SIP that came in fragments is put together again.',
    'set reassemble yes',
    ...(before15()
      ? []
      : [
          '# Room for the anchors of the daemon beside others; FreeBSD 14 has no such limit.',
          `set limit anchors ${512 + shards}`,
        ]),
    '',
    ...(named.length > 0 ? [] : ['# The interface towards your telephones: change it.']),
    `inside = "{ ${inside.join(' ')} }"`,
    '',
    ...translation(settings),
    '# Among the filter rules, before any of yours that is quick and has to do with these ports.',
    ...divert,
    '# Pinholes. The daemon fills this anchor.',
    ...(anchor.includes('/')
      ? [
          `# Where anchor "${anchor.slice(0, anchor.lastIndexOf('/'))}/*" stands already, this line is not needed.`,
        ]
      : []),
    `anchor "${anchor}" proto ${media} to port ${ports(opened)}`,
    ...tagged,
    ...outboundMedia(settings),
    ...severalWays(settings, sip),
    ...blockedMedia(settings),
    '# What claims an inside address comes in from inside alone:',
    '# antispoof quick for $inside',
    '',
    '# Flows that have a state already are not diverted. After the first load kill those of your PBX or phones,',
    '# pfctl -k HOST and pfctl -k 0.0.0.0/0 -k HOST; or all, which ends your own connection as well: pfctl -F states.',
    '',
    '# On the outside SIP has to pass, with no divert-to there; whom you let in is up to you:',
    `# pass in quick on $outside ${sip}`,
    `# pass out quick on $outside ${sip}`,
  ].join('\n')}\n`;
}

/**
 * With other firewalls their states stay here: what pfsync(4) brings of them may have no rule there, and pass unread. A TCP
 * connection gets one there in the middle, which pf cannot follow closely.
 */
function divertLines({ sipPorts, freebsd: { divertPort }, peersStore }: Settings): string[] {
  const line = (direction: string, proto: string, state: string) =>
    `pass ${direction} quick on $inside ${family()}proto ${proto} to port ${ports(sipPorts)}${state} divert-to ${divertPort}`;
  const directions = ['in', 'out'];
  if (peersStore.url === null) return directions.map((direction) => line(direction, '{ tcp udp }', ''));
  return [
    '# pfsync does not bring their states to the other firewalls, where each would pass without these rules.',
    ...directions.map((direction) => line(direction, 'udp', ' keep state (no-sync)')),
    ...directions.map((direction) => line(direction, 'tcp', ' flags any keep state (no-sync, sloppy)')),
  ];
}

/** The anchors that translate, and what has to stand beside them. */
function translation(settings: Settings): string[] {
  const { all, own, ruleset } = byTranslator(settings);
  if (all.length === 0) return [];
  const { rdrAnchor, binatAnchor } = settings.freebsd;
  const mappings = all.map((mapping) => ({
    external: mapping.arrivesAt ?? externalOf(mapping, (name) => `(${name})`),
    hosts: hostsOf(mapping).join(' '),
    isOwn: own.includes(mapping),
  }));
  const media = ports(settings.mediaPorts);
  return [
    '# Among the translation rules.',
    ...(own.length === 0
      ? []
      : [
          '# The daemon fills these: redirects for what a PBX announces under its external address, and the translation',
          '# back, which leaves each port what it is. No rdr of yours may match the same ports of that address.',
          `rdr-anchor "${rdrAnchor}"`,
          `binat-anchor "${binatAnchor}"`,
        ]),
    '# SIP has to reach the PBX by rules of yours, such as these:',
    ...mappings.flatMap(({ external, hosts }) => [
      `# rdr on $outside proto { tcp udp } to ${external} port ${ports(settings.sipPorts)} -> ${hosts}`,
      `# nat on $outside from { ${hosts} } to any -> ${external}`,
    ]),
    ...(ruleset.length === 0
      ? []
      : [
          '# "translation: ruleset": media as well, by 1:1 NAT or by a forwarded range whose ports stay what they are:',
          ...mappings
            .filter(({ isOwn }) => !isOwn)
            .flatMap(({ external, hosts }) => [
              `# binat on $outside from ${hosts} to any -> ${external}`,
              `# rdr on $outside proto udp to ${external} port ${media} -> ${hosts}`,
              `# nat on $outside proto udp from ${hosts} port ${media} to any -> ${external} static-port`,
            ]),
        ]),
    '',
  ];
}

/** What lets out the media that inside hosts send. */
function outboundMedia({ outbound, inside, tcpMedia, staticMedia }: Settings): string[] {
  if (outbound) {
    return [
      '# With "outbound: true" the anchor lets out what inside hosts send, too.',
      ...(staticMedia.length === 0
        ? []
        : [
            '# Not so for static-media: nobody knows where its peers listen. Where your rules drop what these hosts send first:',
          ]),
      ...wayToStaticPeers(staticMedia).map(
        ({ family, hosts, ranges, peers }) =>
          `# pass in quick on $inside ${family === 4 ? 'inet' : 'inet6'} proto udp from { ${hosts.join(' ')} } ` +
          `port ${ports(ranges)} to { ${peers.join(' ')} } port 1024:65535`,
      ),
    ];
  }
  const networks = inside.map(({ text }) => text).join(' ');
  return [
    '# Media that inside hosts send is yours to let out, where your rules drop it: without it they hear and are not',
    '# heard. Or set "outbound: true", and each call opens the way to what its other party announced.',
    `# pass in quick on $inside proto ${tcpMedia ? '{ tcp udp }' : 'udp'} from { ${networks} } to port 1024:65535`,
  ];
}

/** What tells the daemon of media that is dropped. */
function blockedMedia({ blocked, mediaPorts }: Settings): string[] {
  if (!blocked.watch) return [];
  const log = blocked.interface === 'pflog0' ? 'log' : `log (to ${blocked.interface})`;
  return [
    '# What your rules drop of media is told to the daemon ("blocked.watch") where the rule logs it, such as your last block:',
    `# block ${log} proto udp to port ${ports(mediaPorts)}`,
    `# (sysrc pflog_enable=YES && service pflog start, or kldload pflog && ifconfig ${blocked.interface} create up)`,
  ];
}

/** Rules of pinholes answer by the uplink that packets came in by. Those for SIP have to do it, too. */
function severalWays({ uplinks }: Settings, sip: string): string[] {
  if (uplinks.length === 0) return [];
  return [
    '# Several ways out: pinholes answer by the uplink that media came in by. The same for SIP, before other rules for it:',
    ...uplinks.map(
      ({ interface: name, gateway }) => `# pass in quick on ${name} reply-to (${name} ${gateway}) ${sip}`,
    ),
  ];
}

/** Before FreeBSD 15 divert-to does nothing for IPv6. */
function family(): string {
  return before15() ? 'inet ' : '';
}

function before15(): boolean {
  return process.platform === 'freebsd' && Number.parseInt(release(), 10) < 15;
}

function ports(ranges: readonly PortRange[]): string {
  const texts = ranges.map(([first, last]) => (first === last ? `${first}` : `${first}:${last}`));
  return texts.length === 1 ? texts[0]! : `{ ${texts.join(' ')} }`;
}
